import type { CommonStatus, Condition, ConditionStatus, KubeObject } from '../api/meta.ts'
import type { Duration } from '../duration.ts'
import type { Fence } from '../fence.ts'
import type { Logger } from '../telemetry/log.ts'

/** What a pass ends with. There is no fourth way: anything unexpected is thrown and backed off. */
export type Outcome =
  /** Nothing to do until something changes, or the resync. */
  | { readonly kind: 'settled' }
  /** An expected wait: no error and no error metric. People read "Waiting for the agent to register", or the sentence. */
  | ({ readonly kind: 'again'; readonly after: Duration } & Wait)
  /**
   * Only a person can help, by a change of the object or of what it refers to: no requeue. What lives where no watch tells
   * of its change (a repository, a registry, a foreign container) is looked at again after `retryAfter`, and is no less
   * `Stalled` for that.
   */
  | { readonly kind: 'blocked'; readonly reason: string; readonly message: string; readonly retryAfter?: Duration }

/** What is waited for: `waitingFor` goes on after "Waiting for"; `sentence` stands by itself. */
export type Wait = { readonly waitingFor: string } | { readonly sentence: string }

/** A condition as a reconciler states it: the machine adds the time of the last change of its status. */
export type ConditionDraft = Pick<Condition, 'type' | 'reason' | 'message'> & { readonly status: ConditionStatus }

/**
 * The status a pass arrived at. The machine adds what no reconciler should compute: observedGeneration, condition
 * times, history, lastHandledReconcileAt. Conditions not named here are removed (this controller owns them all).
 */
export type StatusDraft<Status extends CommonStatus> = Omit<
  Status,
  'conditions' | 'history' | 'observedGeneration' | 'lastHandledReconcileAt'
> & {
  readonly conditions: readonly ConditionDraft[]
  /** The state that `history` follows: a phase. A new line is written when it differs from the last one. */
  readonly transition: { readonly to: string; readonly reason: string; readonly actor: string }
}

export interface Verdict<Status extends CommonStatus> {
  readonly status: StatusDraft<Status>
  readonly outcome: Outcome
}

/** How a pass ended that came to no verdict. */
export interface Trouble {
  /** `blocked`: only a person can help; `retrying`: it keeps failing; `waiting`: for something outside that will be back. */
  readonly kind: 'blocked' | 'retrying' | 'waiting'
  readonly reason: string
  readonly message: string
}

/** What one pass may use beside its own collaborators. */
export interface Context {
  readonly signal: AbortSignal
  /** Joins the log lines, the events and the history of one pass. */
  readonly reconcileId: string
  readonly log: Logger
  readonly fence: Fence
  readonly now: () => Date
  /** Makes sure our finalizer is on the object, with a patch only where admission gave none. */
  claim(): Promise<void>
  /** Takes our finalizer off: the last act of a deletion. The status of that pass is not written. */
  release(): Promise<void>
  /** Says to people what *has* happened. Aggregated; never fails a pass. */
  event(type: 'Normal' | 'Warning', reason: string, message: string): void
}

/** What every controller implements. Level-triggered: the object comes from the cache, never from an event. */
export interface Reconciler<T extends KubeObject> {
  reconcile(object: Readonly<T>, ctx: Context): Promise<Verdict<StatusOf<T>>>
  /** Told of what people are told of a pass that ended by a throw, or that could not begin. */
  onTrouble?(object: Readonly<T>, trouble: Trouble): void
}

export type StatusOf<T extends KubeObject> = NonNullable<T['status']> & CommonStatus
