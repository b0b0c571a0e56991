/**
 * The condition Isolated: what keeps a running instance from being as far apart from others as one launched now. The one
 * list of such reasons. It exists only while there is one, since what holds for nearly all is not worth a write. Pure.
 */
import { restartedAt } from '../../api/meta.ts'
import type { WorkspaceReason } from '../../api/reasons.ts'
import type { Exposure } from '../../backends/backend.ts'
import type { ConditionDraft } from '../../kube/reconciler.ts'
import type { WorkspaceRow } from '../../store/workspace-store.ts'
import type { Facts } from './judge.ts'

const remedy = `it is replaced at its next launch, or now: set the annotation ${restartedAt}`

const words = {
  SharedNetwork: `other agents reach it by the network it was launched on; ${remedy}`,
  AdoptedInstance: `it runs on the network on which the system before started it; ${remedy}`,
  HostNetwork: 'it is on the network of its host, as the limits of its tier allow',
  NoInboundSecret: `it was launched without a secret by which it knows the calls of the operator from others; ${remedy}`,
} as const satisfies Record<Exposure, string> & Partial<Record<WorkspaceReason, string>>

type Seen = Pick<Facts, 'seen'> & { readonly row: Pick<WorkspaceRow, 'backend' | 'hasInboundSecret'> }

export function isolationCondition({ seen, row }: Seen): ConditionDraft[] {
  if (seen.state !== 'running') return []
  const unknown = row.backend !== 'external' && !row.hasInboundSecret
  const reason = seen.exposure ?? (unknown ? 'NoInboundSecret' : undefined)
  return reason === undefined ? [] : [{ type: 'Isolated', status: 'False', reason, message: words[reason] }]
}
