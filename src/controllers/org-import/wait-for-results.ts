import type { OrgImport } from '../../api/org-import.ts'
import { plural } from '../../text.ts'
import { hasVerdict, untilRead } from '../unread.ts'
import type { Done } from './apply.ts'
import type { Looked } from './describe.ts'

/**
 * A new leader has looked at none of the Workspaces yet. Until it has, and as long as nothing is done, what the status says
 * is as true as before; it throws what ends the pass without a write. Each result that comes makes another pass.
 */
export function waitForResults(org: OrgImport, done: readonly Done[], look: (name: string) => Looked): void {
  const unchanged = done.every(({ deed }) => deed === 'Unchanged' || deed === 'Ignored')
  if (!unchanged || !hasVerdict(org)) return
  const unseen = done.filter(({ name }) => {
    const { live, result } = look(name)
    return live !== undefined && !live.spec.suspend && result === undefined
  })
  if (unseen.length > 0) throw untilRead(`${plural(unseen.length, 'workspace')} to be looked at`)
}
