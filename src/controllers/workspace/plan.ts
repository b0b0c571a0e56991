/**
 * What to do next for one workspace: pure and total. The words of the two axes are the rows and columns of
 * `docs/states.md`, which is printed from the same table.
 *
 *              launch           agent registers
 *   absent ───────────► booting ───────────────► serving ──┐ silent for long
 *     ▲                    │ deadline, exit         │ exit │
 *     │ remove             ▼                        ▼      ▼
 *     └──────────────── failed ◄────────────── crashed · mute
 */
import { adoptedHash, type Observation } from '../../backends/backend.ts'
import { milliseconds, minutes, seconds, type Duration } from '../../duration.ts'
import type { WorkspaceRow } from '../../store/workspace-store.ts'
import { sameWish } from './spec-hash.ts'

/**
 * What is wanted now: the spec, and the claims in flight that stand in the row.
 *   running   an instance
 *   holding   an instance, but the next launch has to wait its turn
 *   keeping   an instance, but the one that is there may not be replaced yet
 *   stopped   no instance: paused, or by an ancestor's pause
 *   asleep    no instance: the claim of an idle agent's sleep stands (hibernating, hibernated)
 *   deleted   nothing
 */
export const wishes = ['running', 'holding', 'keeping', 'stopped', 'asleep', 'deleted'] as const
export type Wish = (typeof wishes)[number]

/** What a look at the instance means, given what was recorded of it. */
export const sights = [
  'absent', // nothing there
  'unknown', // the backend does not answer
  'created', // made, never started
  'starting', // on its way
  'booting', // runs as wanted, the agent has not registered yet
  'overdue', // as booting, and the boot deadline is over
  'silent', // runs, and is recorded as failed
  'serving', // runs as wanted, the agent has registered
  'mute', // as serving, but the agent has been silent at two looks
  'stuck', // as serving, but a task has been at work for longer than its runtime allows, without a message
  'outdated', // runs, made from another desired state, or by a launch that the row does not know of
  'leftover', // does not run, made from another desired state
  'stopping', // on its way out
  'crashed', // ended by itself, not recorded yet
  'ended', // ended by itself, and recorded
] as const
export type Sight = (typeof sights)[number]

export const steps = ['nothing', 'wait', 'launch', 'fail', 'remove', 'replace', 'erase'] as const
/**
 * `fail` records the failure with the last words of the instance; `remove` takes the instance and keeps its volumes;
 * `replace` is a remove that first makes sure of what comes after; `erase` takes all that deletionPolicy gives up, and
 * ends the deletion once that is proved gone.
 */
export type Step = (typeof steps)[number]

/** Total by construction: the compiler refuses a missing cell. `unknown` never leads to anything destructive. */
const table: Record<Sight, Record<Wish, Step>> = {
  absent: row('launch', 'wait', 'launch', 'nothing'),
  unknown: { ...row('wait', 'wait', 'wait', 'wait'), deleted: 'wait' },
  created: row('launch', 'wait', 'launch', 'remove'),
  starting: row('wait', 'wait', 'wait', 'remove'),
  booting: row('wait', 'wait', 'wait', 'remove'),
  overdue: row('fail', 'fail', 'fail', 'remove'),
  silent: row('remove', 'remove', 'remove', 'remove'),
  serving: row('nothing', 'nothing', 'nothing', 'remove'),
  mute: row('fail', 'fail', 'fail', 'remove'),
  stuck: row('fail', 'fail', 'fail', 'remove'),
  outdated: row('replace', 'replace', 'nothing', 'remove'),
  leftover: row('remove', 'remove', 'remove', 'remove'),
  // Asked for once more: the operator before may have ended between its request to stop and the kill that follows.
  stopping: row('remove', 'remove', 'remove', 'remove'),
  crashed: row('fail', 'fail', 'fail', 'remove'),
  ended: row('remove', 'wait', 'remove', 'remove'),
}

/** Pausing and sleeping end an instance alike; a deletion erases whatever a look can tell of. */
function row(running: Step, holding: Step, keeping: Step, stopped: Step): Record<Wish, Step> {
  return { running, holding, keeping, stopped, asleep: stopped, deleted: 'erase' }
}

export const plan = (sight: Sight, wish: Wish): Step => table[sight][wish]

/** What of the row a plan may rest on. */
export type Memory = Pick<
  WorkspaceRow,
  'status' | 'statusSince' | 'launchedHash' | 'launchedAt' | 'launchAttempts' | 'registeredAt' | 'wantedSince'
>

/** A silent agent is looked at a second time this long after the first, and never before it had this long to settle. */
const secondLook = seconds(30)
const settled = seconds(60)

/** The hash that an instance stands for: an adopted one carries none of its own. */
export const hashOf = (specHash: string, memory: Pick<Memory, 'launchedHash'>): string =>
  specHash === adoptedHash ? (memory.launchedHash ?? '') : specHash

/**
 * Reads an observation in the light of the row. `age`: how long the instance has run, by a clock that does not jump; `stuck`:
 * its runtime has it restarted, so long has it been at work without a message.
 */
export function sightOf(
  seen: Observation,
  memory: Memory,
  hash: string,
  bootDeadline: Duration,
  age: Duration,
  now: Date,
  stuck = false,
): Sight {
  switch (seen.state) {
    case 'absent':
    case 'unknown':
    case 'stopping':
      return seen.state
    case 'created':
    case 'starting':
      return sameWish(seen.specHash, hash) ? seen.state : 'leftover'
    case 'exited':
      if (!sameWish(hashOf(seen.specHash, memory), hash)) return 'leftover'
      return memory.status === 'failed' || memory.status === 'offline' ? 'ended' : 'crashed'
    case 'running':
      // Its row was lost, or removed, and made anew: the token of that launch is good no more.
      if (memory.launchedHash === undefined && seen.specHash !== adoptedHash) return 'outdated'
      if (!sameWish(hashOf(seen.specHash, memory), hash)) return 'outdated'
      if (memory.status === 'failed') return 'silent'
      if (memory.registeredAt === undefined) return age < bootDeadline ? 'booting' : 'overdue'
      if (memory.status === 'offline')
        return age >= settled && lasted(memory.statusSince, now) >= secondLook ? 'mute' : 'serving'
      return stuck ? 'stuck' : 'serving'
  }
}

const lasted = (since: Date, now: Date): number => now.getTime() - since.getTime()

/** An instance that served this long may be launched again at once when it ends. */
const settle = seconds(5)
const longestHold = minutes(5)
/** Changes that come within this time of each other are one replacement. */
const quiet = milliseconds(500)

/**
 * How long the next launch has to wait. A desired state never launched waits for quiet, when it follows another; one
 * that was: five seconds after a launch that served, then doubling with each launch that did not come to register, up
 * to five minutes.
 */
export function holdOf(memory: Memory, hash: string, now: Date): Duration {
  const { launchedAt, launchedHash, wantedSince } = memory
  if (launchedAt === undefined || launchedHash === undefined) return milliseconds(0)
  if (!sameWish(launchedHash, hash)) return remaining(wantedSince, quiet, now)
  return remaining(launchedAt, holdSpanOf(memory), now)
}

/** From one launch of a desired state to the next. */
export function holdSpanOf({
  registeredAt,
  launchAttempts,
}: Pick<Memory, 'registeredAt' | 'launchAttempts'>): Duration {
  const failures = registeredAt === undefined ? Math.max(0, launchAttempts - 1) : 0
  return milliseconds(Math.min(settle * 2 ** Math.min(failures, 10), longestHold))
}

/** A moment that is still to come says that a clock was set since: waiting for it could take an hour, so nothing is left. */
function remaining(since: Date, span: Duration, now: Date): Duration {
  const passed = now.getTime() - since.getTime()
  return milliseconds(passed + seconds(1) < 0 ? 0 : Math.max(0, span - Math.max(0, passed)))
}

/** How long until a look at a silent agent may call it mute. */
export const untilSecondLook = (statusSince: Date, age: Duration, now: Date): Duration =>
  milliseconds(Math.max(1000, secondLook - lasted(statusSince, now), settled - age))

/** Every cell, for the page of states. */
export const cells = (): readonly { sight: Sight; wish: Wish; step: Step }[] =>
  sights.flatMap((sight) => wishes.map((wish) => ({ sight, wish, step: plan(sight, wish) })))
