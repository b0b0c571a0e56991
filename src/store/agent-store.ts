/** What agents say of themselves, as rows. Written by any replica: no leader is needed to take a heartbeat. */
import type { Duration } from '../duration.ts'
import type { Phase, WorkspaceId } from './workspace-store.ts'

export interface Registration {
  readonly id: WorkspaceId
  /** Empty: the operator knows the address itself. Kept only for external agents. */
  readonly url: string
  readonly agentCard: unknown
  readonly deliveryMode: 'push' | 'poll' | undefined
}

export interface Heartbeat {
  readonly id: WorkspaceId
  /** 0..1 */
  readonly errorRate: number
  readonly sampleError: string
  readonly activeTasks: number
  readonly uptimeSeconds: number
  readonly currentTask: string
  /** US cents; 0 means "no update". */
  readonly monthlySpend: number
  readonly state: 'healthy' | 'wedged'
  /** The agent judges its own health: error rates then change nothing. */
  readonly ownsStatus: boolean
  /** The agent runs its schedules itself: while it is there, the scheduler does not. */
  readonly ownsSchedules: boolean
  /** SHA-256 of the token it came with: where given, a beat counts only while that is a live token of `id`. */
  readonly tokenHash?: Buffer
}

/** How the A2A route reaches an agent, and who may speak to it. */
export interface AgentAddress {
  readonly id: WorkspaceId
  readonly namespace: string
  readonly status: Phase
  readonly url: string
  readonly deliveryMode: 'push' | 'poll'
  readonly backend: string
  /** Why it is paused or failed, a word of the controller's: `AncestorPaused`. */
  readonly reason?: string
  /**
   * What calls to it carry; absent: it asks for nothing (external, adopted, or launched before there were secrets).
   * `secret` is undefined where it was sealed with another key: no call can be made until the next launch.
   */
  readonly inbound?: { readonly secret: string | undefined }
}

export interface Message {
  /** UUID of its row; a new one when not given. The same twice is one message. */
  readonly id?: string
  /** Undefined: an admin. */
  readonly from: WorkspaceId | undefined
  readonly to: WorkspaceId
  readonly method: string
  /** `activity_logs.status`: `queued`, `ok`, or `error`. */
  readonly outcome: 'queued' | 'ok' | 'error'
  /** `activity_logs.error_detail`: why it is an `error`. */
  readonly detail?: string
  /** `activity_logs.request_body`: the whole request as JSON, kept only where the agent is to fetch it (`queued`). */
  readonly body?: string
}

/** What may wait to be fetched. Bytes are those of the JSON as PostgreSQL writes it. */
export const inboxLimits = {
  workspace: { messages: 1000, bytes: 16 * 1024 * 1024 },
  namespace: { messages: 16_000, bytes: 256 * 1024 * 1024 },
  total: { messages: 256_000, bytes: 4 * 1024 * 1024 * 1024 },
} as const

/** What is handed out at once, or a single message. */
export const takenBytes = 4 * 1024 * 1024

/** Whose limit a queued message met, the narrowest first; it is not kept. */
export type InboxFull = keyof typeof inboxLimits

/** A message that waits for an agent to fetch it. */
export interface QueuedMessage {
  /** The same whenever it is handed out: who got it twice can tell. */
  readonly id: string
  readonly from: WorkspaceId | undefined
  readonly method: string
  /** JSON. */
  readonly body: string
  readonly at: Date
}

/** The live workspace that a token belongs to. */
export interface TokenOwner {
  readonly id: WorkspaceId
  readonly namespace: string
}

export interface AgentStore {
  /** The live workspace a token belongs to. Compared by hash; a removed row or revoked token is undefined. */
  authenticate(tokenHash: Buffer): Promise<TokenOwner | undefined>
  /** All live tokens, at most `limit`: the newest, and of those the oldest first. */
  liveTokens(limit: number): Promise<readonly (TokenOwner & { readonly hash: Buffer })[]>
  /**
   * The agent is there: `online` from provisioning, offline, awaiting_agent, failed or degraded; never from removed,
   * paused, hibernating or hibernated. Undefined when there is no live row. Batched.
   */
  register(registration: Registration): Promise<{ status: Phase } | undefined>
  /** Keeps why a registration was refused, for people, of an agent that is not online. Batched. */
  refuseRegistration(id: WorkspaceId, refusal: string): Promise<void>
  /**
   * One beat: row facts, and the transitions of lifecycle §2.2. Undefined when there is no live row, or the token is not
   * one of its live ones. Batched.
   */
  heartbeat(beat: Heartbeat): Promise<{ status: Phase } | undefined>
  /** Keeps the card, with an event where it differs. False when there is no live row. */
  updateCard(id: WorkspaceId, agentCard: unknown): Promise<boolean>
  address(id: WorkspaceId): Promise<AgentAddress | undefined>
  /**
   * As `address`, for a message that is about to be delivered: it counts as traffic of that instant, under the row's
   * lock, so that an idle agent is not put to sleep in between; and one that sleeps is asked to wake.
   */
  beginMessage(id: WorkspaceId): Promise<AgentAddress | undefined>
  /** Self, siblings (two roots are siblings), ancestor and descendant at any depth up to 32. */
  mayTalk(from: WorkspaceId, to: WorkspaceId): Promise<boolean>
  /**
   * One activity row of a message forwarded or queued; also moves `last_outbound_at` of the sender. A queued one that finds
   * no room is not kept: the answer says where. Messages of one instant, at several replicas, may pass a limit together.
   */
  logMessage(message: Message): Promise<InboxFull | undefined>
  /**
   * Hands out queued messages, oldest first, at most `limit`. Whoever asks again within `lease` does not get them again;
   * after that those come back that nobody acknowledged. So each arrives at least once, whatever crashes.
   */
  takeMessages(id: WorkspaceId, limit: number, lease: Duration): Promise<readonly QueuedMessage[]>
  /** Bytes of all messages that wait for a workspace, those that are handed out among them. */
  waitingBytes(id: WorkspaceId): Promise<number>
  /** Ends the queueing of these messages of this workspace. Returns how many still were: again is no error. */
  acknowledge(id: WorkspaceId, messages: readonly string[]): Promise<number>
  /**
   * Adds a live token to a live workspace, beside those it has. `full`: it has 50 live ones; `absent`: no live row.
   */
  mintToken(id: WorkspaceId, tokenHash: Buffer, tokenPrefix: string): Promise<'minted' | 'full' | 'absent'>
  /** Replaces all live tokens of an external agent by this one, at one instant. */
  rotateToken(id: WorkspaceId, tokenHash: Buffer, tokenPrefix: string): Promise<'rotated' | 'notExternal' | 'absent'>
  /**
   * Rows online or degraded whose last heartbeat is older than `silence` become offline (awaiting_agent when external).
   * Returns how many.
   */
  expire(silence: Duration): Promise<number>
  /** Live workspaces by phase, for a gauge. */
  countByPhase(): Promise<Readonly<Record<Phase, number>>>
  /** Live rows beyond the first of their parent and name. An index is against them: any of them means that it is broken. */
  countDuplicates(): Promise<number>
}
