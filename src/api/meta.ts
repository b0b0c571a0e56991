/**
 * What every Kubernetes object has, as JSON gives it. Types alone: this is all that `kube/` may know of the API.
 */

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

export interface ObjectMeta {
  readonly name: string
  /** Absent on cluster-scoped objects. */
  readonly namespace?: string
  readonly uid: string
  readonly resourceVersion: string
  /** Counts spec changes; the API server sets it. */
  readonly generation: number
  /** RFC 3339. */
  readonly creationTimestamp: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly finalizers?: readonly string[]
  readonly ownerReferences?: readonly OwnerReference[]
}

export interface KubeObject<Spec = unknown, Status = unknown> {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly spec: Spec
  readonly status?: Status
}

export type ConditionStatus = 'True' | 'False' | 'Unknown'

/**
 * metav1.Condition, but for observedGeneration, which the status says for all of them. `message` is stable between passes:
 * no times, no counters that move by themselves.
 */
export interface Condition {
  readonly type: string
  readonly status: ConditionStatus
  readonly reason: string
  readonly message: string
  readonly lastTransitionTime: string
}

/** One line of `status.history`. `actor` is who caused it: `user`, `operator`, `agent` or `backend`. */
export interface Transition {
  readonly time: string
  readonly from: string
  readonly to: string
  readonly reason: string
  readonly actor: string
  /** Of the pass that wrote it: finds its log lines and events. */
  readonly reconcileId?: string
}

/** The part of `status` that all four kinds share, kstatus-exact. */
export interface CommonStatus {
  readonly observedGeneration?: number
  readonly conditions?: readonly Condition[]
  readonly summary?: string
  readonly history?: readonly Transition[]
  readonly lastHandledReconcileAt?: string
}

/** `namespace/name`, or `name` for a cluster-scoped object: the key of every queue and cache. */
export type Key = string & { readonly __brand?: 'Key' }

export function keyOf(object: { readonly metadata: { readonly name: string; readonly namespace?: string } }): Key {
  const { namespace, name } = object.metadata
  return namespace === undefined ? name : `${namespace}/${name}`
}

export const group = 'molecule.dev'
export const version = 'v1alpha1'
export const apiVersion = `${group}/${version}`

/** The finalizer of every kind of ours: on the object from birth (admission) or by the first pass (claim). */
export const finalizer = `${group}/finalizer`

/** Asks for a pass now; acknowledged in `status.lastHandledReconcileAt`. */
export const reconcileRequestedAt = `${group}/reconcile-requested-at`
/** On events: the pass that said it. */
export const reconcileIdAnnotation = `${group}/reconcile-id`
/** On Secrets, `true`: specs may refer to it. Asked for where SECRETS_FOR_AGENTS is `labelled`. */
export const forAgents = `${group}/for-agents`
/** Asks for one restart, as `kubectl rollout restart` does it. */
export const restartedAt = `${group}/restarted-at`
/** Asks for one restart with the sessions emptied, where the Runtime keeps any. */
export const resetSessionAt = `${group}/reset-session-at`
/** Wakes a sleeping agent at this time (RFC 3339), or at once when it has passed since the agent fell asleep. */
export const wakeAt = `${group}/wake-at`
