/** The rows that a Workspace becomes. Ports and types alone; `postgres/` holds the SQL. */
import type { Fence } from '../fence.ts'

declare const idBrand: unique symbol
/** `workspaces.id`: a UUID, `spec.adopt.workspaceID` or else the resource's UID. */
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
  readonly id: WorkspaceId
  readonly ownerUid: string
  readonly namespace: string
  /** metadata.name; the row's `name` is `displayName`. */
  readonly resourceName: string
  readonly generation: number
  readonly displayName: string
  readonly role: string | undefined
  readonly parentId: WorkspaceId | undefined
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
}

/** The row as the planner and the report need it: what was recorded, and what agents said since. */
export interface WorkspaceRow {
  readonly id: WorkspaceId
  readonly status: Phase
  readonly statusSince: Date
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
}

/** What became of one intent. Everything but `recorded` wrote nothing. */
export type Recorded =
  | { readonly kind: 'recorded'; readonly row: WorkspaceRow; readonly changed: boolean }
  /** The parent has no live row yet. (A row that had this parent already keeps it, also once the parent is removed.) */
  | { readonly kind: 'parentMissing' }
  /** A live sibling has the name. */
  | { readonly kind: 'siblingTaken'; readonly by: { readonly namespace: string; readonly resourceName: string } }
  /** The row belongs to another resource, carries a newer generation, or was removed: this pass is out of date. */
  | { readonly kind: 'stale' }

export interface Launch {
  readonly id: WorkspaceId
  readonly specHash: string
  /** SHA-256 of the token that the instance is about to get. All earlier tokens of the workspace are revoked. */
  readonly tokenHash: Buffer
  /** First eight characters of the token, for people. */
  readonly tokenPrefix: string
  readonly at: Date
}

export interface InstanceFacts {
  readonly id: WorkspaceId
  readonly instanceId: string | undefined
  /** Where the operator reaches the agent; undefined leaves what is recorded. */
  readonly url: string | undefined
  readonly imageDigest: string | undefined
}

export interface PhaseChange {
  readonly id: WorkspaceId
  /** Compare-and-set: the change happens only from one of these. */
  readonly from: readonly Phase[]
  readonly to: Phase
  /** `structure_events.event_type`, WORKSPACE_PROVISION_FAILED and the like. */
  readonly event: string
  readonly reason: string
  /** Kept in `last_sample_error` where given. One line, no secret. */
  readonly error?: string
}

/**
 * The controller's side of the rows. Every write is batched with its neighbours, happens only under the fence's epoch
 * (else `Fenced` is thrown and nothing was written), writes its `structure_events` row in the same statement, and is
 * idempotent: the same call again changes nothing. A call that returns a row returns it as it stands after the write,
 * whether or not it changed.
 */
export interface WorkspaceStore {
  /** `urgent`: somebody waits for this one, so it is not held back (a few milliseconds) for company. */
  record(intent: WorkspaceIntent, fence: Fence, urgent?: boolean): Promise<Recorded>
  /** Begins an incarnation: `provisioning`, url emptied, registeredAt cleared, attempts counted, token replaced. */
  launch(launch: Launch, fence: Fence): Promise<WorkspaceRow>
  /** Records what was observed of the instance. */
  observed(facts: InstanceFacts, fence: Fence): Promise<WorkspaceRow>
  /** Moves the phase where it still is one of `from`; returns the row as it then stands. */
  change(change: PhaseChange, fence: Fence): Promise<WorkspaceRow>
  /**
   * Marks the row `removed` and revokes its tokens, so that a late heartbeat cannot revive it. Fenced by owner: a row
   * of another resource is left alone. Returns the row's backend (undefined when there is no row), since that is
   * where the instance lives, whatever the spec says today.
   */
  remove(id: WorkspaceId, ownerUid: string, fence: Fence): Promise<{ backend: string | undefined }>
  /** Ids of rows that changed by what agents said or a sweeper found, from now on: NOTIFY, with a slow poll behind. */
  changes(signal: AbortSignal): AsyncIterable<{ readonly namespace: string; readonly resourceName: string }>
}
