/** The rows that a Workspace becomes. Ports and types alone; `postgres/` holds the SQL. */
import type { Fence } from '../fence.ts'
import type { Haste } from './haste.ts'

declare const idBrand: unique symbol
/** `workspaces.id`: a UUID, that of the row that was adopted, or else the resource's. */
export type WorkspaceId = string & { readonly [idBrand]: true }
export const workspaceId = (uuid: string): WorkspaceId => uuid as WorkspaceId

/** All ten values of the enum `workspace_status`, from the first migration on. */
export const phases = [
  'provisioning',
  'online',
  'offline',
  'degraded',
  'failed',
  'paused',
  'hibernating',
  'hibernated',
  'awaiting_agent',
  'removed',
] as const
export type Phase = (typeof phases)[number]

/** Desired state copied into the row: the intent that exists before any instance does. */
export interface WorkspaceIntent {
  /** Of a row that is made: the resource's UID, never an id of anybody's choice. */
  readonly id: WorkspaceId
  /** `adopt`, `adoptOrCreate`: the row that is to become this resource's. */
  readonly adopts?: WorkspaceId
  readonly ownerUid: string
  readonly namespace: string
  /** metadata.name; the row's `name` is `displayName`. */
  readonly resourceName: string
  readonly generation: number
  readonly displayName: string
  readonly role: string | undefined
  /**
   * UID of the resource above it. The parent's row is the one of this owner in the same namespace, whatever id anything
   * asks for; undefined: a root.
   */
  readonly parentOwnerUid: string | undefined
  /** The parent is gone: a row that has one in its namespace keeps it. One that is not there yet is `parentMissing`. */
  readonly keepsParent: boolean
  readonly tier: number
  readonly runtime: string
  readonly model: string
  /** Written at the first record only: an instance never changes its backend. */
  readonly backend: string
  readonly template: string
  readonly specHash: string
  readonly workspaceDir: string | undefined
  readonly workspaceAccess: 'none' | 'read_only' | 'read_write'
  readonly deliveryMode: 'push' | 'poll'
  readonly maxConcurrentTasks: number
  readonly updateTier: 'production' | 'canary'
  readonly canvas: { readonly x: number; readonly y: number; readonly collapsed: boolean } | undefined
  /** The status of a row that does not exist yet: `provisioning`, or `awaiting_agent` for an external agent. */
  readonly initialPhase: Phase
  /** What the orphan sweeper does with instance and volumes once their resource is gone. */
  readonly deletionPolicy?: 'Delete' | 'Retain'
  /**
   * `create`: the row is this resource's own. `adopt`: the row `adopts` becomes this resource's, with what it has, if its
   * namespace may take it: one that an administrator assigned to the namespace, or that a Workspace of the namespace left
   * behind when it was deleted with Retain. `adoptOrCreate`: that, or a new one. What was adopted once stays.
   */
  readonly claim: 'create' | 'adopt' | 'adoptOrCreate'
}

/** Whose row it is. A statement about an owner's row leaves those of every other owner and namespace alone. */
export interface RowOwner {
  /** metadata.uid of the resource. */
  readonly ownerUid: string
  readonly namespace: string
}

export interface RowKey extends RowOwner {
  readonly id: WorkspaceId
}

/** Why an instance ended or never came up. */
export interface Failure {
  readonly reason: string
  readonly exitCode: number | undefined
  readonly at: Date
  /** Its last output, at most 8 KiB, secrets taken out. */
  readonly logTail: string
  /** Only a change outside of the operator can help: the same launch fails again. */
  readonly refused?: boolean
}

/** The row as the planner and the report need it: what was recorded, and what agents said since. */
export interface WorkspaceRow {
  readonly id: WorkspaceId
  readonly status: Phase
  readonly statusSince: Date
  readonly runtime: string
  readonly backend: string
  readonly instanceId: string | undefined
  readonly url: string
  readonly imageDigest: string | undefined
  /** Hash the last launch was made with; undefined before the first. */
  readonly launchedHash: string | undefined
  readonly launchedAt: Date | undefined
  /** Launches of the present hash that did not come to register, since the last success. */
  readonly launchAttempts: number
  /** First register or heartbeat of the present incarnation; undefined until then. */
  readonly registeredAt: Date | undefined
  readonly lastHeartbeatAt: Date | undefined
  readonly activeTasks: number
  readonly errorRate: number
  readonly currentTask: string | undefined
  /** What the last failure said, of the instance or the agent. */
  readonly lastError: string | undefined
  readonly lastFailure: Failure | undefined
  /** Since when `spec_hash` is what it is: how long a replacement has been wanted. */
  readonly wantedSince: Date
  /** Launches after the first. */
  readonly restarts: number
  /** When a task was last known to be at work, or the agent came to register. */
  readonly lastTaskAt: Date | undefined
  /** Since when beats speak of a task without a break: with no traffic for long, of one that never ends. */
  readonly busySince: Date | undefined
  /** When a message last came in or went out, of any outcome. */
  readonly lastTrafficAt: Date | undefined
  /** When a sleeping agent was asked to wake; cleared by the launch. */
  readonly wakeRequestedAt: Date | undefined
  /** The template the row was made with: of an adopted row it may be unknown (undefined), until a spec tells. */
  readonly template: string | undefined
  /** Digest of the parts that were recorded last (`PartStore`); empty: not all of them could be; undefined: never any. */
  readonly partsHash: string | undefined
  /** The row above it. */
  readonly parentId: WorkspaceId | undefined
  /** It was adopted from the system before, which named what it kept by this id. */
  readonly legacy: boolean
  /** Calls to the agent carry a secret that it asks for; false of what was adopted, or launched before there was one. */
  readonly hasInboundSecret: boolean
  /** What the last registration of this incarnation was refused for; undefined: it was not, or the agent has registered since. */
  readonly registrationRefusal: string | undefined
}

/** What became of one intent. Everything but `recorded` wrote nothing. */
export type Recorded =
  | { readonly kind: 'recorded'; readonly row: WorkspaceRow; readonly changed: boolean }
  /** The parent has no live row yet. (A row that had this parent already keeps it, also once the parent is removed.) */
  | { readonly kind: 'parentMissing' }
  /** A live sibling has the name: its metadata.name, in the same namespace. */
  | { readonly kind: 'siblingTaken'; readonly by: string }
  /** The row belongs to another resource, carries a newer generation, or was removed: this pass is out of date. */
  | { readonly kind: 'stale' }
  /** `follow`: the row of this id is another resource's, which adopted it. */
  | { readonly kind: 'foreign' }
  /** `adopt`: there is no row of this id that the namespace may take, whether or not there is one. */
  | { readonly kind: 'nothingToAdopt' }
  /** `adopt`: a live row of this id is another resource's of the same namespace. */
  | { readonly kind: 'owned'; readonly by: string }
  /** `adopt`: the row says otherwise than the spec in something that a resource cannot change. */
  | { readonly kind: 'contradicts'; readonly field: 'runtime' | 'backend'; readonly row: string; readonly spec: string }

export interface Launch extends RowKey {
  readonly specHash: string
  /** SHA-256 of the token that the instance is about to get. All earlier tokens of the workspace are revoked. */
  readonly tokenHash: Buffer
  /** First eight characters of the token, for people. */
  readonly tokenPrefix: string
  /** What the operator's own calls to the instance carry from now on, in clear: it is kept sealed. Undefined: nothing. */
  readonly inboundSecret?: string | undefined
  /** Names of the variables that the instance gets: an agent that is restarted is told of them. */
  readonly variables?: readonly string[]
  readonly at: Date
  /** Of the pass, for `structure_events`. */
  readonly reconcileId?: string
}

export interface InstanceFacts extends RowKey {
  readonly instanceId: string | undefined
  /** Where the operator reaches the agent; undefined leaves what is recorded. */
  readonly url: string | undefined
  readonly imageDigest: string | undefined
}

export interface PhaseChange extends RowKey {
  /** Compare-and-set: the change happens only from one of these. */
  readonly from: readonly Phase[]
  readonly to: Phase
  /** `structure_events.event_type`, WORKSPACE_PROVISION_FAILED and the like. */
  readonly event: string
  readonly reason: string
  /** Kept in `last_sample_error` where given. One line, no secret. */
  readonly error?: string
  /** Kept as `last_failure` where given. */
  readonly failure?: Failure
  /** Of the pass, for `structure_events`. */
  readonly reconcileId?: string
}

export interface Leak {
  readonly id: WorkspaceId
  readonly ownerUid: string
  readonly backend: string
  readonly instanceId: string | undefined
  /** Why it could not be removed, for people. */
  readonly cause: string
}

/** What was removed: where its instance lives, whatever the spec says today. */
export type RemovedRow = Pick<WorkspaceRow, 'id' | 'backend' | 'instanceId'>

/**
 * The controller's side of the rows. Every write names the owner of the row, and is an error where the row is another's; it is batched with its neighbours, happens only under the fence's epoch
 * (else `Fenced` is thrown and nothing was written), writes its `structure_events` row in the same statement, and is
 * idempotent: the same call again changes nothing. A call that returns a row returns it as it stands after the write,
 * whether or not it changed.
 */
export interface WorkspaceStore {
  /** The live row of an owner, whatever its id. */
  find(owner: RowOwner): Promise<WorkspaceRow | undefined>
  /** `haste` is `soon` unless given. */
  record(intent: WorkspaceIntent, fence: Fence, haste?: Haste): Promise<Recorded>
  /**
   * Records an intent that was `stale`, of a resource that the API server confirmed since, past every cache: its uid, its
   * generation, and that it is not being deleted. A row that is ahead of it goes back to its generation; one that was removed
   * begins anew under its id, as one never launched.
   */
  follow(intent: WorkspaceIntent, fence: Fence): Promise<Recorded>
  /**
   * Begins an incarnation: `provisioning`, url emptied, registeredAt and wakeRequestedAt cleared, attempts and restarts
   * counted, token and inbound secret replaced; what the agent is to be told of a restart is owed (restart-store.ts). An external agent keeps its url and its tokens: the given one is not
   * issued, and it gets no secret. Throws `Terminal` SecretsKeyMissing for a secret where there is no key to seal it with.
   */
  launch(launch: Launch, fence: Fence): Promise<WorkspaceRow>
  /** Records what was observed of the instance. */
  observed(facts: InstanceFacts, fence: Fence): Promise<WorkspaceRow>
  /** Moves the phase where it still is one of `from`; returns the row as it then stands. */
  change(change: PhaseChange, fence: Fence): Promise<WorkspaceRow>
  /**
   * Puts an idle agent to sleep, by compare-and-set: `hibernating` if it is online or degraded, has no task, and no task,
   * message or registration since `idleSince`. Whoever speaks to the agent in the same instant wins (`beginMessage`).
   */
  hibernate(key: RowKey, idleSince: Date, fence: Fence): Promise<WorkspaceRow>
  /**
   * Whether an instance that no operator made may be taken over by Workspaces of the namespace: a row that an
   * administrator assigned to it names the instance by its id, or the instance is named as the system before named that
   * of the row.
   */
  isAssigned(
    namespace: string,
    backend: string,
    instance: { readonly id: string; readonly name: string },
  ): Promise<boolean>
  /** Takes over a running instance that this operator did not launch: it counts as launched with this hash. */
  adopted(facts: InstanceFacts & { readonly specHash: string }, fence: Fence): Promise<WorkspaceRow>
  /** Writes down an instance that is given up: it may live on, and nobody will look for it again. Once an owner. */
  leak(leak: Leak, fence: Fence): Promise<void>
  /**
   * Marks the row of this owner `removed` and revokes its tokens, so that a late heartbeat cannot revive it. Undefined
   * when there is no such row. `deletionPolicy` is the resource's last word, kept for the orphan collector; without it
   * the one last recorded stands.
   */
  remove(owner: RowOwner, fence: Fence, deletionPolicy?: 'Delete' | 'Retain'): Promise<RemovedRow | undefined>
  /**
   * Keys of rows that changed by what agents said or a sweeper found, from now on: NOTIFY, with a slow poll behind. `onMove`
   * is called when the database is another server than before, or was started anew: rows may have been lost.
   */
  changes(
    signal: AbortSignal,
    onMove?: () => void,
  ): AsyncIterable<{ readonly namespace: string; readonly resourceName: string }>
}
