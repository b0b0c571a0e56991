/** Whether two workspaces may talk: an ancestor and a descendant, or siblings, of one namespace. */
import type { WorkspaceId } from '../workspace-store.ts'
import type { Answer, Statement } from './statement.ts'

export interface Pair {
  readonly from: WorkspaceId
  readonly to: WorkspaceId
}

interface TalkRow extends Answer {
  allowed: boolean
}

/** Ancestors that are looked at: no outline is deeper. */
const mostDepth = 32

/**
 * The chain of ancestors of either, at most 32 long, contains the other; or both have one parent. A chain ends where the
 * namespace does: a row that has a parent of another namespace speaks to nothing there.
 */
export const mayTalk: Statement<Pair, TalkRow, boolean> = {
  name: 'may_talk',
  key: ({ from, to }) => from + to,
  columns: [
    ['sender', 'uuid', ({ from }) => from],
    ['receiver', 'uuid', ({ to }) => to],
  ],
  sql: `,
  chain AS (
    SELECT i.ord, w.id AS start, w.id, w.parent_id, w.namespace, 0 AS depth
    FROM input i JOIN workspaces w ON w.id IN (i.sender, i.receiver) AND w.status <> 'removed'
    UNION ALL
    SELECT c.ord, c.start, w.id, w.parent_id, w.namespace, c.depth + 1 FROM chain c
      JOIN workspaces w ON w.id = c.parent_id AND w.namespace = c.namespace
    WHERE c.depth < ${mostDepth}
  ),
  met AS (
    SELECT c.ord FROM chain c JOIN input i ON i.ord = c.ord
    GROUP BY c.ord HAVING bool_or(c.start = i.sender AND c.id = i.receiver OR c.start = i.receiver AND c.id = i.sender)
  )
  SELECT i.ord::int AS ord,
    a.namespace = b.namespace AND a.parent_id IS NOT DISTINCT FROM b.parent_id OR m.ord IS NOT NULL AS allowed
  FROM input i
    JOIN workspaces a ON a.id = i.sender AND a.status <> 'removed'
    JOIN workspaces b ON b.id = i.receiver AND b.status <> 'removed'
    LEFT JOIN met m ON m.ord = i.ord`,
  result: (row) => row?.allowed === true,
}
