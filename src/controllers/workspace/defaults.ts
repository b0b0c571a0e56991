/** The one place where what a spec leaves out is filled in (lifecycle §6; design/resources.md, Tiers). */
import type { Limits } from '../../backends/backend.ts'

export type DeploymentMode = 'self-hosted' | 'saas'

export const defaultTier = (mode: DeploymentMode): number => (mode === 'saas' ? 4 : 3)

/** Never empty: the spec's, else the Runtime's, else what the runtime's name implies. */
export function modelOf(spec: string | undefined, runtime: { name: string; defaultModel: string | undefined }): string {
  if (spec !== undefined && spec !== '') return spec
  if (runtime.defaultModel !== undefined && runtime.defaultModel !== '') return runtime.defaultModel
  return runtime.name === 'claude-code' ? 'sonnet' : 'anthropic:claude-opus-4-7'
}

const mebibytes = (n: number) => n * 1024 * 1024

const tiers: Readonly<Record<number, Limits>> = {
  1: { memoryBytes: mebibytes(512), cpus: 0.5, pids: 256, readOnlyRoot: true, hostAccess: [] },
  2: { memoryBytes: mebibytes(512), cpus: 1, pids: 512, readOnlyRoot: false, hostAccess: [] },
  3: { memoryBytes: mebibytes(2048), cpus: 2, pids: 1024, readOnlyRoot: false, hostAccess: [] },
  4: { memoryBytes: mebibytes(4096), cpus: 4, pids: 2048, readOnlyRoot: false, hostAccess: [] },
}

/** The hard limits of a tier. The CRD admits 1 to 4 only, so anything else is a fault of ours. */
export function limitsOf(tier: number): Limits {
  const limits = tiers[tier]
  if (limits === undefined) throw new RangeError(`tier ${tier} has no limits: there are 1 to 4`)
  return limits
}
