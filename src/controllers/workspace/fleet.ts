/** What the other workspaces of one Runtime mean for a rollout: who is down, and what the canaries say. Pure. */
import { keyOf } from '../../api/meta.ts'
import type { Workspace } from '../../api/workspace.ts'
import { milliseconds, type Duration } from '../../duration.ts'
import type { CanaryVerdict } from './turn.ts'

const ready = ({ status }: Workspace) =>
  status?.conditions?.find(({ type, status: holds }) => type === 'Ready' && holds === 'True')

const meantToRun = ({ spec, status, metadata }: Workspace) =>
  metadata.deletionTimestamp === undefined && !spec.suspend && status?.effectivePower?.state === 'Running'

/** For an index: the Runtime of a workspace that is meant to run and does not. */
export const downIndex = (ws: Workspace): string[] =>
  ws.status?.runtime !== undefined && meantToRun(ws) && ready(ws) === undefined ? [ws.status.runtime] : []

/** For an index: the Runtime of a canary. */
export const canaryIndex = (ws: Workspace): string[] =>
  ws.status?.runtime !== undefined && ws.spec.updateRing === 'canary' ? [ws.status.runtime] : []

/**
 * Canaries that do not run, or that are replaced at a restart of their own only, prove nothing and hold up nobody. Without
 * canaries a new image is good.
 */
export function canaryVerdict(canaries: readonly Workspace[], image: string, soak: Duration, now: Date): CanaryVerdict {
  const asked = canaries.filter((ws) => meantToRun(ws) && ws.spec.updateStrategy !== 'OnRestart')
  const unproved = asked.filter((ws) => ws.status?.image?.ref !== image || !ws.status.image.current || !ready(ws))
  if (unproved.length > 0) return { kind: 'unproved', names: unproved.map(keyOf).sort() }
  const since = asked
    .map((ws) => Date.parse(ws.status?.instance?.startedAt ?? ''))
    .filter((time) => !Number.isNaN(time))
  const left = Math.max(0, ...since.map((time) => time + soak - now.getTime()))
  return left > 0 ? { kind: 'soaking', left: milliseconds(Math.min(left, soak)) } : { kind: 'good' }
}
