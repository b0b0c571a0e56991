/** Something that the operator needs goes away under load and comes back: it converges by itself and never ends. */
import { setTimeout as wait } from 'node:timers/promises'
import type { ControlPlane } from '../../src/dev/control-plane.ts'
import type { Postgres } from '../../src/dev/postgres.ts'
import { reasonOf } from '../../src/errors.ts'
import { Clock } from './clock.ts'
import { startEngine, type OwnEngine } from './own-engine.ts'
import { Load } from './load.ts'
import type { Options } from './options.ts'
import { onEngine, type Stage } from './stage.ts'
import { judged, type Line } from './table.ts'
import type { Seen, World } from './world.ts'

/** What may be broken: all of it is the line's own. */
interface Parts {
  readonly plane: ControlPlane
  readonly postgres: Postgres
  readonly engine: OwnEngine | undefined
  /** The operator's. */
  readonly clock: Clock
}

export interface Outage {
  readonly fault: string
  readonly backend: 'process' | 'docker'
  /** Most seconds from the end of the fault to rest. */
  readonly bar: number
  readonly quick?: boolean
  /** Whether what runs ends with it, so that each has to be made once more. */
  readonly endsInstances?: boolean
  /** Whether it lasts, or is over as soon as it began. */
  readonly lasts: boolean
  /** Seconds that it lasts, whatever is asked for. */
  readonly seconds?: number
  begin(parts: Parts): Promise<void> | void
  end(parts: Parts): Promise<void> | void
}

export const outages: readonly Outage[] = [
  {
    fault: 'API server killed',
    backend: 'process',
    bar: 15,
    lasts: true,
    begin: ({ plane }) => plane.apiServer.kill(),
    end: ({ plane }) => plane.apiServer.start(),
  },
  {
    fault: 'API server frozen',
    backend: 'process',
    bar: 15,
    lasts: true,
    begin: ({ plane }) => plane.apiServer.pause(),
    end: ({ plane }) => plane.apiServer.resume(),
  },
  {
    fault: 'etcd killed',
    backend: 'process',
    bar: 15,
    lasts: false,
    begin: ({ plane }) => plane.etcd.kill(),
    end: ({ plane }) => plane.etcd.start(),
  },
  {
    fault: 'PostgreSQL stopped',
    backend: 'process',
    bar: 15,
    lasts: true,
    quick: true,
    begin: ({ postgres }) => postgres.server?.stop(),
    end: ({ postgres }) => postgres.server?.start(),
  },
  {
    fault: 'Docker engine stopped',
    backend: 'docker',
    bar: 15,
    endsInstances: true,
    lasts: true,
    begin: ({ engine }) => engine?.server.stop(),
    end: async ({ engine }) => engine?.server.start(),
  },
  {
    fault: 'Docker engine gone',
    backend: 'docker',
    bar: 20,
    endsInstances: true,
    lasts: true,
    seconds: 60,
    begin: ({ engine }) => engine?.server.stop(),
    end: async ({ engine }) => engine?.server.start(),
  },
  {
    fault: 'Docker engine restarted',
    backend: 'docker',
    bar: 20,
    endsInstances: true,
    lasts: false,
    begin: ({ engine }) => engine?.server.stop(),
    end: async ({ engine }) => engine?.server.start(),
  },
  {
    fault: 'Docker engine hung',
    backend: 'docker',
    bar: 20,
    lasts: true,
    begin: ({ engine }) => engine?.server.pause(),
    end: ({ engine }) => engine?.server.resume(),
  },
  {
    fault: 'clock an hour ahead',
    backend: 'process',
    bar: 15,
    lasts: true,
    begin: ({ clock }) => clock.set(1),
    end: ({ clock }) => clock.set(0),
  },
  {
    fault: 'clock an hour back',
    backend: 'process',
    bar: 15,
    lasts: true,
    begin: ({ clock }) => clock.set(-1),
    end: ({ clock }) => clock.set(0),
  },
]

/** Workspaces of the load. Each is a real process or container of a real agent, on what may be two cores. */
const sizes = { process: 50, docker: 12 } as const
/** How many are made before the fault; the others are asked for while it lasts. */
const share = 0.6

export async function outage(stage: Stage, fault: Outage, options: Options): Promise<Line> {
  const seconds = fault.lasts ? ` for ${fault.seconds ?? options.outage} s` : ''
  const line = { fault: `${fault.fault}${seconds}, under load`, where: fault.backend }
  await using engine = fault.backend === 'docker' ? await startEngine() : undefined
  if (engine !== undefined && 'impossible' in engine)
    return { ...line, end: `NO ENGINE OF OUR OWN: ${engine.impossible}`, duplicates: 0, verdict: 'SKIPPED' }
  const { plane, place } = await stage.controlPlane(engine && { image: engine.image })
  const postgres = await stage.ownPostgres()
  try {
    const world = await stage.world(place, engine ? onEngine(engine) : () => stage.processes(), postgres)
    try {
      const clock = new Clock(stage.dir)
      return await suffer(world, { plane, postgres, engine, clock }, fault, line, options)
    } finally {
      await world.close()
    }
  } finally {
    await postgres.stop()
    await plane.stop()
  }
}

async function suffer(
  world: World,
  parts: Parts,
  fault: Outage,
  line: Pick<Line, 'fault' | 'where'>,
  options: Options,
): Promise<Line> {
  // Elected, as in a cluster: an outage of the API server puts the lease in doubt.
  const operator = await world.start({ LEADER_ELECT: 'true', ...parts.clock.env })
  await operator.ready()
  const size = sizes[fault.backend]
  const load = new Load(world, size, Math.floor(size * share))
  try {
    load.start()
    const { seen } = await world.rest(underway(fault, size), { quiet: 0, within: 60_000 })
    await fault.begin(parts)
    load.allowAll()
    if (fault.lasts) await wait((fault.seconds ?? options.outage) * 1_000)
    await fault.end(parts)
    const over = performance.now()
    await world.instances.follow()
    // People stop a moment after all is back: what they ask for then must be done as well.
    await wait(2_000)
    await load.stop()
    const { at } = await world.rest((seen) => load.missing(seen), { quiet: options.quiet * 1_000, within: 90_000 })
    const counted = [...world.instances.creates().values()].reduce((sum, count) => sum + count, 0)
    return judged({
      ...line,
      end: `${load.size} as asked, operator never ended, ${options.quiet} s of rest`,
      creates: { counted, undisturbed: load.size + (fault.endsInstances ? seen.live.size : 0) },
      duplicates: world.doubled.size,
      seconds: (at - over) / 1_000,
      bar: fault.bar,
    })
  } catch (error) {
    return { ...line, end: reasonOf(error), duplicates: world.doubled.size, verdict: 'SHORT', said: operator.tail }
  } finally {
    await load.stop()
  }
}

/** Something has to be under way when it happens; but what an engine ends in the middle of its start, it may count or not. */
function underway({ endsInstances = false }: Outage, size: number): (seen: Seen) => string | undefined {
  const enough = Math.floor((endsInstances ? 1 : 0.8) * share * size)
  return ({ live, rows }) => {
    const up = endsInstances ? rows.filter(({ status }) => status === 'online').length : live.size
    return up < enough ? `only ${up} are up` : undefined
  }
}
