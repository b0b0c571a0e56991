/**
 * The condition Isolated: what keeps a running instance from being as far apart from others as one launched now. The one
 * list of such reasons. It exists only while there is one, since what holds for nearly all is not worth a write. Pure.
 */
import { restartedAt } from '../../api/meta.ts'
import type { WorkspaceReason } from '../../api/reasons.ts'
import type { Exposure } from '../../backends/backend.ts'
import type { ConditionDraft } from '../../kube/reconciler.ts'
import type { Facts } from './judge.ts'

const remedy = `it is replaced at its next launch, or now: set the annotation ${restartedAt}`

const words = {
  SharedNetwork: `other agents reach it by the network it was launched on; ${remedy}`,
  AdoptedInstance: `it runs on the network on which the system before started it; ${remedy}`,
  HostNetwork: 'it is on the network of its host, as the limits of its tier allow',
} as const satisfies Record<Exposure, string> & Partial<Record<WorkspaceReason, string>>

export function isolationCondition({ seen }: Pick<Facts, 'seen'>): ConditionDraft[] {
  if (seen.state !== 'running' || seen.exposure === undefined) return []
  return [{ type: 'Isolated', status: 'False', reason: seen.exposure, message: words[seen.exposure] }]
}
