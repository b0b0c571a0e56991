/** What the other workspaces of one Runtime mean for a rollout: how many are down, and what the canaries prove. Pure. */
import { keyOf } from '../../api/meta.ts'
import type { Workspace } from '../../api/workspace.ts'
import { milliseconds, type Duration } from '../../duration.ts'
import type { PassResult } from '../fleet.ts'
import type { Peers } from './rollout.ts'
import type { CanaryVerdict } from './turn.ts'

/** A Workspace and what its last pass found; nothing yet of one that this leader has not looked at. */
export interface Member {
  readonly workspace: Workspace
  readonly result: PassResult | undefined
}

const meantToRun = ({ workspace: { metadata, spec }, result }: Member): boolean =>
  metadata.deletionTimestamp === undefined &&
  !spec.suspend &&
  (result === undefined ? spec.power === 'Running' : result.power === 'Running')

export function peersOf(members: readonly Member[]): Peers {
  const running = members.filter(meantToRun)
  const down = running.filter(({ result }) => result?.ready !== true)
  return { total: running.length, down: new Set(down.map(({ workspace }) => keyOf(workspace))) }
}

/**
 * Canaries that do not run, or that are replaced at a restart of their own only, prove nothing and hold up none. Without
 * canaries a new image is good. `namespace` is that of the workspace that waits: canaries elsewhere are counted, not named.
 */
export function canaryVerdict(
  canaries: readonly Member[],
  image: string,
  soak: Duration,
  now: Date,
  namespace: string,
): CanaryVerdict {
  const asked = canaries.filter((member) => meantToRun(member) && member.workspace.spec.updateStrategy !== 'OnRestart')
  const unproved = asked.filter(
    ({ result }) => result?.ready !== true || result.image?.ref !== image || result.image.current !== true,
  )
  if (unproved.length > 0) {
    const own = unproved.filter(({ workspace }) => workspace.metadata.namespace === namespace)
    const names = own.map(({ workspace }) => workspace.metadata.name).sort()
    return { kind: 'unproved', names, elsewhere: unproved.length - own.length }
  }
  const since = asked.flatMap(({ result }) => result?.startedAt?.getTime() ?? [])
  const left = Math.max(0, ...since.map((time) => time + soak - now.getTime()))
  return left > 0 ? { kind: 'soaking', left: milliseconds(Math.min(left, soak)) } : { kind: 'good' }
}
