/** The failpoint sweep over the backends that this machine can run. */
import { reasonOf } from '../../src/errors.ts'
import type { Options } from './options.ts'
import { findEngine, onEngine, type MakeInstances, type Stage } from './stage.ts'
import { killAt, kills, labelOf, undisturbed, type Kill } from './sweep.ts'
import type { Line } from './table.ts'
import type { Place } from './world.ts'

type Announce = (line: Line) => void

/** Of each kind of side effect the one whose loss would cost most. */
const telling = new Set(['claimed create', 'launching create', 'created create', 'ensured replace', 'erased remove'])

const isWanted = (kill: Kill, backend: string, { only, quick }: Options): boolean =>
  (kill.only === undefined || kill.only === backend) &&
  (!quick || telling.has(`${kill.point} ${kill.act}`)) &&
  (only === undefined || only.test(`${labelOf(kill)} ${backend}`))

export async function sweepLane(stage: Stage, options: Options, announce: Announce): Promise<Line[]> {
  const wanted = (backend: string) => kills.filter((kill) => isWanted(kill, backend, options))
  if (wanted('process').length + wanted('docker').length === 0) return []
  const engine = wanted('docker').length > 0 ? await findEngine() : undefined
  const { plane, place } = await stage.controlPlane(engine && { image: engine.image })
  try {
    const lines = await sweepOn(stage, place, wanted('process'), () => stage.processes(), announce)
    if (engine) return [...lines, ...(await sweepOn(stage, place, wanted('docker'), onEngine(engine), announce))]
    return [...lines, ...wanted('docker').map((kill) => skipped(kill, announce))]
  } finally {
    await plane.stop()
    await engine?.docker.getImage(engine.image).remove()
  }
}

async function sweepOn(
  stage: Stage,
  place: Place,
  wanted: readonly Kill[],
  makeInstances: MakeInstances,
  announce: Announce,
): Promise<Line[]> {
  if (wanted.length === 0) return []
  const inWorld = async <T>(play: (world: Awaited<ReturnType<Stage['world']>>) => Promise<T>): Promise<T> => {
    const world = await stage.world(place, makeInstances)
    try {
      return await play(world)
    } finally {
      await world.close()
    }
  }
  const expected = await inWorld((world) => undisturbed(world, new Set(wanted.map(({ act }) => act))))
  const lines: Line[] = []
  for (const kill of wanted) {
    const line = await inWorld((world) => killAt(world, kill, expected)).catch((error: unknown) =>
      notPlayed(kill, error),
    )
    announce(line)
    lines.push(line)
  }
  return lines
}

const notPlayed = (kill: Kill, error: unknown): Line => ({
  fault: labelOf(kill),
  where: '-',
  end: reasonOf(error),
  duplicates: 0,
  verdict: 'SHORT',
})

function skipped(kill: Kill, announce: Announce): Line {
  const end = 'NO DOCKER ENGINE ANSWERS'
  const line: Line = { fault: labelOf(kill), where: 'docker', end, duplicates: 0, verdict: 'SKIPPED' }
  announce(line)
  return line
}
