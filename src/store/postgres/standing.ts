/** What statements over existing rows have in common: how they lock them, and what they answer. */
import type { RowKey, WorkspaceId, WorkspaceRow } from '../workspace-store.ts'
import { rawColumns, sentColumns, toWorkspaceRow, type SentRow } from './row.ts'
import type { Column } from './statement.ts'

/** By which a statement knows its row. */
export const keyColumns: readonly Column<RowKey>[] = [
  ['id', 'uuid', (key) => key.id],
  ['owner_uid', 'text', (key) => key.ownerUid],
  ['namespace', 'text', (key) => key.namespace],
]

/** An id alone proves nothing: the row `w` is that of the input `i` where owner and namespace are. */
const same = 'i.id = w.id AND w.owner_uid = i.owner_uid AND w.namespace = i.namespace'

/**
 * The rows to be changed, locked in the order of their ids (so that two batches cannot deadlock) and as they stand at
 * that moment, which may be later than the statement's snapshot.
 */
export const locked = (columns: string, condition: string): string => `,
  locked AS MATERIALIZED (
    SELECT i.*${columns}
    FROM workspaces w JOIN input i ON ${same}
    WHERE w.status <> 'removed' AND ${condition}
    ORDER BY w.id FOR NO KEY UPDATE OF w
  )`

/** One row for each input: as written, or as found where nothing was. */
export const standing = `
  SELECT i.ord::int AS ord, ${sentColumns('s')}
  FROM input i LEFT JOIN (
    SELECT ${rawColumns('w')} FROM written w
    UNION ALL
    SELECT ${rawColumns('w')} FROM input i JOIN workspaces w ON ${same}
    WHERE w.status <> 'removed' AND i.id NOT IN (SELECT id FROM written)
  ) s ON s.id = i.id`

export function rowOr(row: SentRow | undefined, { id }: { id: WorkspaceId }): WorkspaceRow | Error {
  if (!row || row.id === null) return new Error(`workspace ${id} has no live row of this owner`)
  return toWorkspaceRow({ ...row, id: row.id })
}
