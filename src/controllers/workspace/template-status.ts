/** `status.template`: of which files the instance was made. Pure. */
import type { WorkspaceStatus } from '../../api/workspace.ts'
import { adoptedHash } from '../../backends/backend.ts'
import type { Facts } from './judge.ts'
import { sameWish } from './spec-hash.ts'

/**
 * The revision is that of the files which are wanted now, so it is told of an instance that was seen and whose digest, in which
 * the files are, is the wanted one. An adopted instance was made elsewhere, of files that are not known.
 */
export function templateStatus({
  workspace,
  row: { template: identity },
  desired: { template, intent },
  seen,
}: Facts): Pick<WorkspaceStatus, 'template'> {
  if (identity === undefined || identity === '') return {}
  const before = workspace.status?.template
  // A backend that does not answer says nothing of what runs there.
  if (seen.state === 'unknown' && before?.identity === identity) return { template: before }
  const isWanted = 'specHash' in seen && seen.specHash !== adoptedHash && sameWish(seen.specHash, intent.specHash)
  if (template === undefined || !isWanted) return { template: { identity } }
  return { template: { identity, revision: template.revision, source: template.source } }
}
