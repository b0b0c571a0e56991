/** When to look again, and for what. Waits end by events; the times are what is left when an event got lost. Pure. */
import { milliseconds, minutes, parseDuration, seconds, type Duration } from '../../duration.ts'
import { wakeAt } from '../../api/meta.ts'
import type { Workspace } from '../../api/workspace.ts'
import type { Outcome } from '../../kube/reconciler.ts'
import type { WorkspaceRow } from '../../store/workspace-store.ts'
import type { Facts } from './judge.ts'
import { untilSecondLook, type Step } from './plan.ts'

export const settled: Outcome = { kind: 'settled' }
export const again = (after: Duration, waitingFor: string): Outcome => ({ kind: 'again', after, waitingFor })
const later = (after: Duration, sentence: string): Outcome => ({ kind: 'again', after, sentence })

/** An engine, a registry or another's container that refused a launch sends no event when it no longer would: it is asked again. */
const soonest = seconds(30)

export function outcomeAfter(step: Step, facts: Facts, age: Duration, now: Date): Outcome {
  const { delay, refusal, hold, row } = facts
  if (delay !== undefined) return later(milliseconds(Math.max(hold, delay.after)), delay.why)
  if (refusal !== undefined) {
    // A reconcile that is requested between two launches waits no longer than the next launch does.
    const retryAfter = milliseconds(Math.max(hold, step === 'launch' ? soonest : 100))
    return { kind: 'blocked', ...refusal, retryAfter }
  }
  return noLaterThan(bySight(step, facts, age, now), [
    facts.power.lookAgainIn,
    untilSleep(facts, now),
    untilWake(facts.workspace, row, now),
    untilStuck(facts),
  ])
}

function bySight(
  step: Step,
  { sight, hold, desired, row, wish, turn, power }: Facts,
  age: Duration,
  now: Date,
): Outcome {
  switch (sight) {
    case 'serving':
      if (row.status !== 'offline' || row.backend === 'external') return settled
      return again(untilSecondLook(row.statusSince, age, now), 'the agent to be heard of again')
    case 'booting':
      return again(milliseconds(Math.max(1000, desired.bootDeadline - age)), 'the agent to register')
    case 'unknown':
      return again(seconds(15), `backend ${row.backend} to answer`)
    case 'created':
      return again(hold > 0 ? hold : seconds(1), 'the next launch')
    case 'starting':
    case 'stopping':
      return again(seconds(1), 'the instance')
    case 'absent':
    case 'ended':
      // What was put to sleep a moment ago may have been asked to wake meanwhile.
      if (step === 'nothing')
        return wish === 'asleep' && row.wakeRequestedAt !== undefined ? again(milliseconds(0), 'its wake') : settled
      if (power.awaitsParent) return again(seconds(15), 'its parent to be resumed')
      return again(milliseconds(Math.max(hold, step === 'remove' ? 0 : 100)), 'the next launch')
    case 'outdated':
      if (wish === 'keeping' && turn.kind === 'wait')
        return turn.after === undefined ? settled : later(turn.after, turn.message)
      return again(milliseconds(step === 'replace' || step === 'remove' ? 500 : 0), 'the old instance to be gone')
    case 'leftover':
    case 'silent':
    case 'overdue':
    case 'mute':
    case 'stuck':
    case 'crashed':
      return again(milliseconds(step === 'remove' ? 500 : 0), 'the old instance to be gone')
  }
}

/** When the last of task, message and registration was; undefined for an agent that never came up. */
export function lastActive({ lastTaskAt, lastTrafficAt, registeredAt }: WorkspaceRow): Date | undefined {
  const times = [lastTaskAt, lastTrafficAt, registeredAt].filter((time) => time !== undefined)
  return times.length === 0 ? undefined : new Date(Math.max(...times.map((time) => time.getTime())))
}

/** The earliest moment at which it may be put to sleep. */
export function sleepyAt(workspace: Workspace, row: WorkspaceRow): Date | undefined {
  const since = lastActive(row)
  const { hibernation } = workspace.spec
  if (hibernation === undefined || since === undefined) return undefined
  return new Date(since.getTime() + parseDuration(hibernation.idleAfter))
}

/** It serves, and nothing but its being awake is wanted of it. */
export const mayDoze = ({ wish, sight, row }: Pick<Facts, 'wish' | 'sight' | 'row'>): boolean =>
  sight === 'serving' && (wish === 'running' || wish === 'holding') && row.backend !== 'external'

/** A task at work says nothing when it ends, so one that keeps the agent awake is looked at now and then. */
function untilSleep({ workspace, row, wish, sight }: Facts, now: Date): Duration | undefined {
  if (!mayDoze({ wish, sight, row })) return undefined
  const at = sleepyAt(workspace, row)
  if (at === undefined) return undefined
  return milliseconds(Math.max(row.activeTasks > 0 ? 10_000 : 250, at.getTime() - now.getTime()))
}

/** The time that `molecule.dev/wake-at` names, where it is one. */
export function wakeTime({ metadata }: Workspace): Date | undefined {
  const time = Date.parse(metadata.annotations?.[wakeAt] ?? '')
  return Number.isNaN(time) ? undefined : new Date(time)
}

function untilWake(workspace: Workspace, { status }: WorkspaceRow, now: Date): Duration | undefined {
  const at = wakeTime(workspace)
  if (at === undefined || at <= now || (status !== 'hibernated' && status !== 'hibernating')) return undefined
  return milliseconds(at.getTime() - now.getTime())
}

/** A beat that speaks of a task brings no pass: one that began since is found at work by the next look of all. */
function untilStuck({ desired, row, sight, quiet }: Facts): Duration | undefined {
  const after = desired.runtime?.restartBusyAfter
  if (after === undefined || sight !== 'serving' || row.activeTasks === 0) return undefined
  return milliseconds(Math.max(1000, parseDuration(after) - quiet))
}

/** No timer is longer: what it waits for is found again by the next look. */
const longest = minutes(720)

function noLaterThan(outcome: Outcome, moments: readonly (Duration | undefined)[]): Outcome {
  const first = Math.min(longest, ...moments.filter((moment) => moment !== undefined))
  if (outcome.kind === 'blocked' || (first === longest && outcome.kind === 'settled')) return outcome
  if (outcome.kind === 'again' && outcome.after <= first) return outcome
  return outcome.kind === 'again' ? { ...outcome, after: milliseconds(first) } : again(milliseconds(first), 'its time')
}
