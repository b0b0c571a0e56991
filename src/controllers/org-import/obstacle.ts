import type { OrgImportCondition, OrgImportReason } from '../../api/reasons.ts'
import type { Duration } from '../../duration.ts'

/**
 * Why a pass cannot go on. `waits`: it passes by itself; otherwise somebody has to change something, and `retryAfter` says
 * when to look for that again where no watch tells of it.
 */
export interface Obstacle {
  readonly condition: OrgImportCondition
  readonly reason: OrgImportReason
  readonly message: string
  readonly waits: boolean
  readonly retryAfter?: Duration
}

export const isObstacle = (result: object): result is Obstacle => 'waits' in result && 'condition' in result
