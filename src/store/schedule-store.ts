/**
 * Schedules and their runs, as the scheduler sees them. All times are those of the database's clock: those of the
 * operators' machines differ and jump.
 *
 *   schedule ──(due)──► run waiting ──► delivering ──► ok · error
 *                          └──────────────┴─────────► skipped
 *
 * What comes due while an agent is there that runs its schedules itself makes no run. A schedule has one open run at
 * most: what comes due meanwhile is skipped. A run is known by its schedule and due time: claimed a second time, it is
 * the same one.
 */
import type { Duration } from '../duration.ts'
import type { Fence } from '../fence.ts'
import type { Phase, WorkspaceId } from './workspace-store.ts'

/** A schedule whose time has come, or whose next time is not known (any more). */
export interface DueSchedule {
  readonly id: string
  readonly cron: string
  readonly timezone: string
  /** `next_run_at` as it stands, to be handed back; undefined: not reckoned yet. */
  readonly seen: string | undefined
  /** Whether a run is due now. */
  readonly due: boolean
  /** From when on the next time is to be reckoned: never later than now. */
  readonly from: Date
}

/** What becomes of a schedule that was due. */
export interface Advance {
  readonly scheduleId: string
  /** Compare-and-set: the schedule is left alone if its next time is another by now. */
  readonly seen: string | undefined
  readonly next: Date | 'never'
  /** Makes a run of the time seen, to be begun after this long; undefined: none. */
  readonly runAfter: Duration | undefined
  /** Why there is no next time, where that is somebody's mistake. */
  readonly fault: string | undefined
}

/** A run that has not ended, with what decides about it. */
export interface OpenRun {
  /** The same for the same schedule and due time: what an agent may know a second delivery by. */
  readonly id: string
  readonly workspaceId: WorkspaceId
  readonly namespace: string
  readonly schedule: string
  readonly enabled: boolean
  readonly dueAt: Date
  /** Since it could have begun. */
  readonly waited: Duration
  /** Deliveries begun so far. */
  readonly attempts: number
  readonly phase: Phase
  /** It was asked to wake, and no launch has followed yet. */
  readonly waking: boolean
  readonly deliveryMode: 'push' | 'poll'
  readonly activeTasks: number
  readonly maxConcurrentTasks: number
}

export interface RunEnd {
  readonly runId: string
  readonly outcome: 'ok' | 'error' | 'skipped'
  /** Why it is not `ok`. One line, no secret. */
  readonly detail: string | undefined
}

/** Writes happen only under the fence's epoch (else `Fenced`), and are idempotent. */
export interface ScheduleStore {
  /** Schedules to be advanced, the longest due of each namespace in turn. Reads no others. */
  due(limit: number): Promise<readonly DueSchedule[]>
  /** Moves a schedule to its next time and claims the run, in one statement. True: the run was skipped at once. */
  advance(advance: Advance, fence: Fence): Promise<boolean>
  /** Runs that could begin, of whichever leader, the longest waiting of each namespace in turn. */
  open(limit: number): Promise<readonly OpenRun[]>
  /** Counts a delivery that is about to be made, and gives the prompt as it is now; undefined: the run has ended. */
  begin(runId: string, fence: Fence): Promise<string | undefined>
  /** Ends a run, with its event (CRON_EXECUTED, CRON_SKIPPED) and activity row. Once: a second end changes nothing. */
  finish(end: RunEnd, fence: Fence): Promise<void>
}
