/** The one place where what a spec leaves out is filled in (lifecycle §6; design/resources.md, Tiers). */
import { hostAccesses, type HostAccess, type Limits, type TierLimits } from '../../backends/backend.ts'

export type DeploymentMode = 'self-hosted' | 'saas'

export const defaultTier = (mode: DeploymentMode): number => (mode === 'saas' ? 4 : 3)

/** The hard limits of each tier, of the operator's configuration. */
export type Tiers = Readonly<Record<number, TierLimits>>

/** The CRD admits 1 to 4 only, so anything else is a fault of ours. */
export function limitsOf(tiers: Tiers, tier: number, namespace: string): Limits {
  const { namespaces, ...limits } = tierOf(tiers, tier)
  return namespaces.includes(namespace) ? limits : { ...limits, hostAccess: [] }
}

/** Ways onto the host that a tier stands for (of tier 4 that is all of them) and that the namespace is not given. */
export function withheldOf(tiers: Tiers, tier: number, namespace: string): readonly HostAccess[] {
  const { hostAccess } = limitsOf(tiers, tier, namespace)
  return (tier === 4 ? hostAccesses : tierOf(tiers, tier).hostAccess).filter((access) => !hostAccess.includes(access))
}

function tierOf(tiers: Tiers, tier: number): TierLimits {
  const limits = tiers[tier]
  if (limits === undefined) throw new RangeError(`tier ${tier} has no limits: there are 1 to 4`)
  return limits
}
