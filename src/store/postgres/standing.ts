/** What statements over existing rows have in common: how they lock them, and what they answer. */
import type { WorkspaceId, WorkspaceRow } from '../workspace-store.ts'
import { rawColumns, sentColumns, toWorkspaceRow, type SentRow } from './row.ts'

/**
 * The rows to be changed, locked in the order of their ids (so that two batches cannot deadlock) and as they stand at
 * that moment, which may be later than the statement's snapshot.
 */
export const locked = (columns: string, condition: string): string => `,
  locked AS MATERIALIZED (
    SELECT i.*${columns}
    FROM workspaces w JOIN input i ON i.id = w.id
    WHERE w.status <> 'removed' AND ${condition}
    ORDER BY w.id FOR NO KEY UPDATE OF w
  )`

/** One row for each input: as written, or as found where nothing was. */
export const standing = `
  SELECT i.ord::int AS ord, ${sentColumns('s')}
  FROM input i LEFT JOIN (
    SELECT ${rawColumns('w')} FROM written w
    UNION ALL
    SELECT ${rawColumns('w')} FROM input i JOIN workspaces w ON w.id = i.id
    WHERE w.status <> 'removed' AND i.id NOT IN (SELECT id FROM written)
  ) s ON s.id = i.id`

export function rowOr(row: SentRow | undefined, { id }: { id: WorkspaceId }): WorkspaceRow | Error {
  if (!row || row.id === null) return new Error(`workspace ${id} has no live row`)
  return toWorkspaceRow({ ...row, id: row.id })
}
