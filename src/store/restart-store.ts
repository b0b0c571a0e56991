/**
 * What agents are told after a restart. It is owed from the launch on, in the row: whatever crashes, the next leader finds it.
 * Owed by a launch that follows an instance that served; not by the first one, nor by one that ends a pause or a sleep.
 */
import type { Duration } from '../duration.ts'
import type { WorkspaceId } from './workspace-store.ts'

export interface OwedContext {
  readonly workspaceId: WorkspaceId
  readonly namespace: string
  /** Of the Workspace that it is about. */
  readonly ownerUid: string
  readonly resourceName: string
  /** UUID, the same however often it is sent: who got it twice can tell. */
  readonly messageId: string
  readonly restartedAt: Date
  /** When the instance before was last heard of; undefined: never. */
  readonly endedAt: Date | undefined
  /** Names of the variables of the environment, never values. */
  readonly variables: readonly string[]
  /** Since the agent is back. */
  readonly waited: Duration
}

export interface RestartStore {
  /** To agents that are there and can be reached, the longest waiting first. */
  owed(limit: number): Promise<readonly OwedContext[]>
  /** It was told. One that is owed by a later launch stays. */
  settle(context: Pick<OwedContext, 'workspaceId' | 'messageId'>): Promise<void>
  /**
   * It is given up: no longer owed, and told in `structure_events` (`RESTART_CONTEXT_DROPPED`) by the same statement. `why` is
   * one line without a secret. False: it was not owed any more, and nothing was told.
   */
  drop(context: Pick<OwedContext, 'workspaceId' | 'messageId'>, why: string): Promise<boolean>
}
