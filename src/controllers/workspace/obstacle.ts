import type { WorkspaceCondition, WorkspaceReason } from '../../api/reasons.ts'

/** What stands in the way. `waits`: it can pass without anyone touching this object or what it names. */
export interface Obstacle {
  readonly condition: WorkspaceCondition
  readonly reason: WorkspaceReason
  readonly message: string
  readonly waits: boolean
}

export const isObstacle = <Result extends object>(result: Result | Obstacle): result is Obstacle => 'waits' in result
