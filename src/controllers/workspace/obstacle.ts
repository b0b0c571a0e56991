import type { WorkspaceCondition, WorkspaceReason } from '../../api/reasons.ts'

/** What stands in the way. `waits`: it can pass without anyone touching this object or what it names. */
export interface Obstacle {
  readonly condition: WorkspaceCondition
  readonly reason: WorkspaceReason
  readonly message: string
  readonly waits: boolean
  /** Some of what it was judged by is still being listed, so all of it may turn out otherwise. */
  readonly unread?: boolean
}

export const isObstacle = (result: object): result is Obstacle => 'waits' in result
