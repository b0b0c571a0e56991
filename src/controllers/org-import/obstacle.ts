import type { OrgImportCondition, OrgImportReason } from '../../api/reasons.ts'

/** Why a pass cannot go on. `waits`: it passes by itself; otherwise somebody has to change something. */
export interface Obstacle {
  readonly condition: OrgImportCondition
  readonly reason: OrgImportReason
  readonly message: string
  readonly waits: boolean
}

export const isObstacle = (result: object): result is Obstacle => 'waits' in result && 'condition' in result
