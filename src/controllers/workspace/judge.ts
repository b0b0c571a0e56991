/** From the facts of a pass to three verdicts: is it launched, is it connected, is it ready; each with its reason. Pure. */
import type { WorkspaceReason } from '../../api/reasons.ts'
import type { Workspace } from '../../api/workspace.ts'
import type { Observation } from '../../backends/backend.ts'
import { formatDuration, type Duration } from '../../duration.ts'
import type { WorkspaceRow } from '../../store/workspace-store.ts'
import { why } from '../../why.ts'
import { holdSpanOf, type Sight, type Wish } from './plan.ts'
import type { PowerVerdict } from './power.ts'
import type { Desired } from './resolve.ts'
import type { Turn } from './turn.ts'

/** All that a pass learned once the row was recorded. */
export interface Facts {
  readonly workspace: Workspace
  readonly desired: Desired
  readonly row: WorkspaceRow
  readonly seen: Observation
  readonly sight: Sight
  readonly wish: Wish
  readonly power: PowerVerdict
  /** Until the next launch may happen. */
  readonly hold: Duration
  /** How long a task has been at work without a message. */
  readonly quiet: Duration
  /** What the replacement of an outdated instance waits for. */
  readonly turn: Turn
  /** What only a person can mend, of the last launch; undefined: nothing. */
  readonly refusal: { readonly reason: string; readonly message: string } | undefined
  /** What the launch has to wait for, as the backend said: an image that is being pulled. */
  readonly delay?: { readonly after: Duration; readonly why: string; readonly reason?: WorkspaceReason }
  /** What else it is made of; undefined: nothing. */
  readonly parts: PartsVerdict | undefined
  /** Bytes of disk that it took at the last look; undefined: not known. */
  readonly disk?: number
  readonly children: { readonly total: number; readonly ready: number }
}

interface Judgement {
  readonly reason: WorkspaceReason
  readonly message: string
}

/** The condition PartsRecorded. */
export interface PartsVerdict extends Judgement {
  readonly holds: boolean
  /** Parts that are there as the spec asks; undefined: not known now. */
  readonly delivered?: { readonly schedules: number; readonly channels: number }
}

export function judgeLaunched({
  row,
  delay,
  seen,
  sight,
  wish,
  hold,
  power,
  desired,
  refusal,
}: Facts): Judgement & { holds: boolean | 'Unknown' } {
  if (row.backend === 'external')
    return { holds: true, reason: 'External', message: 'the agent is run by its owner: there is nothing to launch' }
  if (refusal !== undefined) return { holds: false, reason: 'LaunchFailed', message: refusal.message }
  if (delay !== undefined) return { holds: false, reason: delay.reason ?? 'Starting', message: delay.why }
  const failure = row.lastError ?? 'it ended'
  switch (sight) {
    case 'unknown':
      return {
        holds: 'Unknown',
        reason: 'BackendUnreachable',
        message: `backend ${row.backend} does not answer: ${seen.state === 'unknown' ? seen.cause : ''}`,
      }
    case 'booting':
    case 'serving':
      return { holds: true, reason: 'Running', message: runningOn(row) }
    case 'silent':
      if (row.registeredAt !== undefined)
        return {
          holds: false,
          reason: row.lastFailure?.reason === 'NoProgress' ? 'NoProgress' : 'HeartbeatLost',
          message: failure,
        }
      return overdue(desired, failure)
    case 'overdue':
      return overdue(desired, failure)
    case 'crashed':
    case 'ended':
      return { holds: false, reason: 'InstanceExited', message: failure }
    case 'mute':
      return { holds: false, reason: 'HeartbeatLost', message: 'the agent has fallen silent: it is started anew' }
    case 'stuck':
      return {
        holds: false,
        reason: 'NoProgress',
        message: 'the agent is at work without progress: it is started anew',
      }
    case 'outdated':
      return wish === 'keeping' ? { holds: true, reason: 'Running', message: runningOn(row) } : replacing
    case 'leftover':
      return replacing
    case 'stopping':
      return { holds: false, reason: 'Stopping', message: 'the instance is stopping' }
    case 'created':
      // Made, and its start failed.
      return row.status === 'failed' && hold > 0 ? backingOff(row) : starting(row)
    case 'starting':
      return starting(row)
    case 'absent':
      if (wish === 'stopped') return { holds: false, reason: 'Paused', message: 'paused: there is no instance' }
      if (wish === 'asleep') return { holds: false, reason: 'Hibernated', message: 'asleep: there is no instance' }
      if (power.awaitsParent)
        return { holds: false, reason: 'Waiting', message: 'starts as soon as its parent is resumed' }
      return hold > 0 && row.lastError !== undefined ? backingOff(row) : starting(row)
  }
}

export function judgeConnected({ row, desired, wish, sight }: Facts): Judgement & { holds: boolean } {
  if (wish === 'stopped') return { holds: false, reason: 'Paused', message: 'paused: no agent is expected' }
  if (wish === 'asleep') return { holds: false, reason: 'Hibernated', message: 'asleep: no agent is expected' }
  const kept = sight === 'outdated' && wish === 'keeping' && row.registeredAt !== undefined
  const running = row.backend === 'external' || sight === 'serving' || kept
  switch (row.status) {
    case 'online':
      if (running) return { holds: true, reason: 'Registered', message: 'the agent is registered and beats' }
      break
    case 'degraded':
      if (running)
        return {
          holds: true,
          reason: 'AgentDegraded',
          message: `the agent beats, but fails: ${row.lastError ?? 'it says it is wedged'}`,
        }
      break
    case 'offline':
      return { holds: false, reason: 'HeartbeatLost', message: 'the agent has fallen silent' }
    case 'awaiting_agent':
    case 'provisioning':
    case 'failed':
    case 'paused':
    case 'hibernating':
    case 'hibernated':
    case 'removed':
      break
  }
  return unregistered({ row, desired })
}

function unregistered({ row, desired }: Pick<Facts, 'row' | 'desired'>) {
  const { registrationRefusal: refusal, registeredAt, lastHeartbeatAt: beat, backend } = row
  const notRegistered = (message: string) => ({ holds: false, reason: 'NotRegistered', message }) as const
  if (refusal !== undefined) return notRegistered(`the registration of the agent was refused: ${refusal}`)
  if (registeredAt === undefined && beat !== undefined)
    return notRegistered('the agent has been heard of, but has not registered: no message reaches it')
  const given =
    backend === 'external'
      ? ': its owner starts it, since the backend external launches nothing'
      : `; the operator's address that it was given is ${platformOf(desired)}`
  return { holds: false, reason: 'AwaitingRegistration', message: `the agent has not registered yet${given}` } as const
}

/** `summary`: for one line, where the message is more than that. */
type ReadyJudgement = Judgement & { readonly holds: boolean; readonly summary?: string }

export function judgeReady(
  { wish, sight, row, hold, power }: Facts,
  launched: Judgement & { holds: boolean | 'Unknown' },
  connected: Judgement & { holds: boolean },
): ReadyJudgement {
  if (wish === 'stopped')
    return sight === 'absent'
      ? { holds: true, reason: 'Paused', message: pausedWhy(power) }
      : { holds: false, reason: 'Stopping', message: 'Pausing: the instance is being stopped' }
  if (wish === 'asleep')
    return sight === 'absent'
      ? { holds: true, reason: 'Hibernated', message: 'Hibernated: idle, wakes on a message or a schedule' }
      : { holds: false, reason: 'Stopping', message: 'Falling asleep: the instance is being stopped' }
  if (launched.holds !== true) {
    const { reason } = launched
    const message = capitalise(launched.message)
    if (hold <= 0 || reason === 'Starting') return { holds: false, reason, message }
    const { launchAttempts: attempts } = row
    const again = `tried again after ${formatDuration(holdSpanOf(row))}${attempts === 0 ? '' : ` (attempt ${attempts} failed)`}`
    const summary = why(capitalise(again), launched.message)
    return { holds: false, reason, message: `${message}; ${again}`, summary }
  }
  if (connected.reason === 'AgentDegraded')
    return { holds: false, reason: 'AgentDegraded', message: capitalise(connected.message) }
  if (!connected.holds) return { holds: false, reason: connected.reason, message: capitalise(connected.message) }
  return { holds: true, reason: 'Settled', message: 'Online: the agent is registered and beats' }
}

const starting = ({ backend }: WorkspaceRow) =>
  ({ holds: false, reason: 'Starting', message: `the instance is starting on ${backend}` }) as const

/** The next launch is not due yet. */
const backingOff = ({ lastError = 'it ended', lastFailure }: WorkspaceRow) =>
  ({
    holds: false,
    reason: lastFailure?.reason === 'LaunchFailed' ? 'LaunchFailed' : 'BackingOff',
    message: lastError,
  }) as const

const replacing = {
  holds: false,
  reason: 'Replacing',
  message: 'the instance is being replaced: what it was started with changed',
} as const

/** The address of the operator that the agent was given, without what may be secret in it. */
const platformOf = ({ instance }: Pick<Desired, 'instance'>): string =>
  URL.parse(instance.env['PLATFORM_URL'] ?? '')?.origin ?? 'none'

const overdue = ({ bootDeadline, instance }: Desired, failure: string) =>
  ({
    holds: false,
    reason: 'BootDeadlineExceeded',
    message: `the agent did not register at ${platformOf({ instance })} within ${formatDuration(bootDeadline)}: ${failure}`,
  }) as const

function pausedWhy({ power }: PowerVerdict): string {
  const kept = 'there is no instance, its configuration is kept'
  if (power.state === 'Running' || power.reason === 'AsAsked') return `Paused: ${kept}`
  return power.reason === 'Expired'
    ? `Paused: its lifetime is over; ${kept}`
    : `Paused with its ancestor "${power.by ?? ''}": ${kept}`
}

const runningOn = ({ instanceId, backend }: WorkspaceRow) => `instance ${shortId(instanceId)} on ${backend}`
const shortId = (id: string | undefined) => (id ?? 'unknown').slice(0, 12)
export const capitalise = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)
