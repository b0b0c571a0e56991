/** The leader dies or stands still in the middle of an act, right after a side effect, and a second one finishes it. */
import type { ControlPlane } from '../../src/dev/control-plane.ts'
import type { Failpoint } from '../../src/failpoint.ts'
import { reasonOf } from '../../src/errors.ts'
import { until } from '../support/until.ts'
import { acts, type ActName } from './acts.ts'
import { requestsOf } from './audit.ts'
import { endState } from './ends.ts'
import { endsAs, epochOf, two } from './leaders.ts'
import type { Stage } from './stage.ts'
import { differences, prepare, undisturbed, type Undisturbed } from './sweep.ts'
import { judged, type Line } from './table.ts'
import type { World } from './world.ts'

/** At the Nth time that the leader reaches the point in this act. */
export interface Change {
  readonly fault: string
  readonly point: Failpoint
  readonly nth: number
  readonly act: ActName
  /** A leader that was frozen comes back when another has led. */
  readonly how: 'frozen' | 'killed'
}

const change = (how: Change['how'], point: Failpoint, act: ActName, nth = 1): Change => {
  const fault = `leader ${how} at ${point}${nth > 1 ? `:${nth}` : ''}, ${act}${how === 'frozen' ? ', and thawed' : ''}`
  return { how, point, act, nth, fault }
}

export const changes: readonly Change[] = [
  change('frozen', 'removed', 'replace'),
  change('frozen', 'removed', 'pause'),
  change('frozen', 'hibernating', 'hibernate'),
  change('frozen', 'cascaded', 'cascade'),
  change('frozen', 'applied', 'approve', 3),
  change('frozen', 'pruned', 'approve'),
  change('killed', 'applied', 'approve', 3),
  change('killed', 'equipped', 'approve'),
]

/** From the end of the leader to rest: its lease runs out first. */
const bar = 35
const limits = { quiet: 1_500, within: 90_000 }

export async function changeInAct(stage: Stage, { fault, ...how }: Change): Promise<Line> {
  const line = { fault, where: 'process' }
  const { plane, place } = await stage.controlPlane({ audit: true })
  const worlds: World[] = []
  const open = async () => {
    const world = await stage.world(place, () => stage.processes())
    worlds.push(world)
    return world
  }
  try {
    const expected = await undisturbed(await open(), new Set([how.act]))
    const world = await open()
    const wrote = async (token: string, from: Date) => (await requestsOf(plane.auditLog, token, from)).effects
    const { creates, seconds } = await passOn(world, plane, how, expected, wrote)
    const end = how.how === 'frozen' ? 'the second finished it; thawed: no write, exit 3' : 'the second finished it'
    return judged({ ...line, end, creates, duplicates: world.doubled.size, seconds, bar })
  } catch (error) {
    const [end, said] = [reasonOf(error), worlds.at(-1)?.lastWords ?? '']
    return { ...line, end, duplicates: worlds.at(-1)?.doubled.size ?? 0, verdict: 'SHORT', said }
  } finally {
    for (const world of worlds) await world.close()
    await plane.stop()
  }
}

/**
 * Throws where the end is not that of a run which nobody disturbed, or where a thawed leader does anything but end.
 * `wrote`: what was written with a token since then, as far as the caller can know.
 */
export async function passOn(
  world: World,
  plane: Pick<ControlPlane, 'identity' | 'dir'>,
  { how, point, act, nth }: Omit<Change, 'fault'>,
  expected: Undisturbed,
  wrote: (token: string, from: Date) => Promise<readonly string[]> = () => Promise.resolve([]),
): Promise<{ readonly creates: NonNullable<Line['creates']>; readonly seconds: number }> {
  const wanted = expected[act]
  if (wanted === undefined) throw new Error(`nobody has played "${act}" undisturbed`)
  const { missing, names } = acts[act]
  await prepare(world, act)
  const { first, token } = await two(world, plane, { FAILPOINT: `${point}:${nth}${how === 'frozen' ? ':freeze' : ''}` })
  const before = await world.look()
  const [made, epoch] = [total(world), await epochOf(world)]
  await acts[act].begin(world, before)
  const over = async () => (how === 'frozen' ? await first.frozen() : first.exit?.signal === 'SIGKILL')
  await until(over, { what: 'the leader to reach the place', within: 30_000 })
  const stoppedAt = performance.now()
  const atRest = async () => {
    const { seen, at } = await world.rest((now) => missing(now, before), limits)
    const faults = differences(endState(seen, names, before), wanted.state)
    if (faults.length > 0) throw new Error(faults.join('; '))
    return at
  }
  const at = await atRest()
  if ((await epochOf(world)) <= epoch) throw new Error('nobody else has led')
  if (how === 'frozen') {
    const thawedAt = new Date()
    first.send('SIGCONT')
    await endsAs(first, 3)
    const effects = await wrote(token, thawedAt)
    if (effects.length > 0) throw new Error(`the thawed one wrote: ${effects.join(', ')}`)
    await atRest()
  }
  const creates = { counted: total(world) - made, undisturbed: wanted.creates }
  return { creates, seconds: (at - stoppedAt) / 1_000 }
}

const total = (world: World) => [...world.instances.creates().values()].reduce((sum, count) => sum + count, 0)
