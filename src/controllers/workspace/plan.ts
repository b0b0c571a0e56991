/**
 * What to do next for one workspace: pure and total. The words of the two axes are the rows and columns of
 * `docs/states.md`, which is printed from the same table.
 *
 *              launch           agent registers
 *   absent ───────────► booting ───────────────► serving
 *     ▲                    │ deadline, exit         │ exit
 *     │ remove             ▼                        ▼
 *     └──────────────── failed ◄──────────────── crashed
 */
import type { Observation } from '../../backends/backend.ts'
import { milliseconds, minutes, seconds, type Duration } from '../../duration.ts'
import type { WorkspaceRow } from '../../store/workspace-store.ts'

/** What the spec asks for now. `holding`: an instance is wanted, but the next launch has to wait its turn. */
export const wishes = ['running', 'holding', 'stopped', 'deleted'] as const
export type Wish = (typeof wishes)[number]

/** What a look at the instance means, given what was recorded of it. */
export const sights = [
  'absent', // nothing there
  'unknown', // the backend does not answer
  'created', // made, never started
  'starting', // on its way
  'booting', // runs as wanted, the agent has not registered yet
  'overdue', // as booting, and the boot deadline is over
  'silent', // overdue, and recorded as failed
  'serving', // runs as wanted, the agent has registered
  'outdated', // exists, made from another desired state
  'stopping', // on its way out
  'crashed', // ended by itself, not recorded yet
  'ended', // ended by itself, and recorded
] as const
export type Sight = (typeof sights)[number]

export const steps = ['nothing', 'wait', 'launch', 'fail', 'remove', 'erase'] as const
/**
 * `fail` records the failure with the last words of the instance; `remove` takes the instance and keeps its volumes;
 * `erase` takes all that deletionPolicy gives up, and ends the deletion once that is proved gone.
 */
export type Step = (typeof steps)[number]

/** Total by construction: the compiler refuses a missing cell. `unknown` never leads to anything destructive. */
const table: Record<Sight, Record<Wish, Step>> = {
  absent: { running: 'launch', holding: 'wait', stopped: 'nothing', deleted: 'erase' },
  unknown: { running: 'wait', holding: 'wait', stopped: 'wait', deleted: 'wait' },
  created: { running: 'launch', holding: 'wait', stopped: 'remove', deleted: 'erase' },
  starting: { running: 'wait', holding: 'wait', stopped: 'remove', deleted: 'erase' },
  booting: { running: 'wait', holding: 'wait', stopped: 'remove', deleted: 'erase' },
  overdue: { running: 'fail', holding: 'fail', stopped: 'remove', deleted: 'erase' },
  silent: { running: 'remove', holding: 'remove', stopped: 'remove', deleted: 'erase' },
  serving: { running: 'nothing', holding: 'nothing', stopped: 'remove', deleted: 'erase' },
  outdated: { running: 'remove', holding: 'remove', stopped: 'remove', deleted: 'erase' },
  stopping: { running: 'wait', holding: 'wait', stopped: 'wait', deleted: 'erase' },
  crashed: { running: 'fail', holding: 'fail', stopped: 'remove', deleted: 'erase' },
  ended: { running: 'remove', holding: 'wait', stopped: 'remove', deleted: 'erase' },
}

export const plan = (sight: Sight, wish: Wish): Step => table[sight][wish]

/** What of the row a plan may rest on. */
export type Memory = Pick<WorkspaceRow, 'status' | 'launchedHash' | 'launchedAt' | 'launchAttempts' | 'registeredAt'>

/** Reads an observation in the light of the row. `hash` is the desired state's digest. */
export function sightOf(seen: Observation, memory: Memory, hash: string, bootDeadline: Duration, now: Date): Sight {
  switch (seen.state) {
    case 'absent':
    case 'unknown':
    case 'stopping':
      return seen.state
    case 'created':
    case 'starting':
      return seen.specHash === hash ? seen.state : 'outdated'
    case 'exited':
      if (seen.specHash !== hash) return 'outdated'
      return memory.status === 'failed' || memory.status === 'offline' ? 'ended' : 'crashed'
    case 'running': {
      if (seen.specHash !== hash) return 'outdated'
      if (memory.registeredAt !== undefined) return 'serving'
      if (now.getTime() - seen.startedAt.getTime() < bootDeadline) return 'booting'
      return memory.status === 'failed' ? 'silent' : 'overdue'
    }
  }
}

/** An instance that served this long may be launched again at once when it ends. */
const settle = seconds(5)
const longestHold = minutes(5)

/**
 * How long the next launch has to wait: nothing for a desired state never launched, five seconds after a launch that
 * served, then doubling with each launch that did not come to register, up to five minutes.
 */
export function holdOf(memory: Memory, hash: string, now: Date): Duration {
  if (memory.launchedAt === undefined || memory.launchedHash !== hash) return milliseconds(0)
  const failures = memory.registeredAt === undefined ? Math.max(0, memory.launchAttempts - 1) : 0
  const hold = Math.min(settle * 2 ** Math.min(failures, 10), longestHold)
  return milliseconds(Math.max(0, memory.launchedAt.getTime() + hold - now.getTime()))
}

/** Every cell, for the page of states. */
export const cells = (): readonly { sight: Sight; wish: Wish; step: Step }[] =>
  sights.flatMap((sight) => wishes.map((wish) => ({ sight, wish, step: plan(sight, wish) })))
