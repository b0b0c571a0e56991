/** Files that a spec may not seed an agent with (lifecycle §10.4). Pure. */
import type { WorkspaceSpec } from '../../api/workspace.ts'
import { longestFilePath } from '../../backends/backend.ts'
import type { Obstacle } from './obstacle.ts'

/** What an agent writes about itself: whatever brought it once must not bring it again. */
const owned = /^(MEMORY\.md|USER\.md|CLAUDE\.md|\.claude(\/.*)?|\.auth_token|\.platform_inbound_secret)$/

/** Refused before any side effect: a delivery would fail, or overwrite what the agent has learned. */
export const seedFault = (spec: Pick<WorkspaceSpec, 'files'>): Obstacle | undefined =>
  pathFault((spec.files ?? []).map(({ path }) => path))

/** `where`: in whose words the paths are. */
export function pathFault(paths: readonly string[], where = 'spec.files'): Obstacle | undefined {
  const long = paths.find((path) => Buffer.byteLength(path) > longestFilePath)
  if (long !== undefined)
    return {
      condition: 'Launched',
      reason: 'InvalidSpec',
      message: `${where}[${long.slice(0, 40)}…]: the path has more than ${longestFilePath} bytes: shorten it`,
      waits: false,
    }
  const taken = paths.filter((path) => owned.test(path))
  if (taken.length === 0) return undefined
  return {
    condition: 'Launched',
    reason: 'AgentOwnedPath',
    message: `${where} has ${taken.join(', ')}, which the agent writes itself: leave it out`,
    waits: false,
  }
}

/** The runtime that a delivered config.yaml declares, where it does. One line of YAML is all that is looked at. */
export function declaredRuntime(config: string): string | undefined {
  return /^runtime:[ \t]*["']?([A-Za-z0-9._-]+)["']?[ \t]*(?:#.*)?$/m.exec(config)?.[1]
}
