import type { History, HistoryStore, Leavings } from '../history-store.ts'
import { surfaced } from './faults.ts'
import type { Database } from './pool.ts'

const tables: Record<History, string> = { activity: 'activity_logs', structure: 'structure_events' }

/** By place, since neither table has an index that leads by age to the key of a row. Rows in use wait for next time. */
const forget = (table: string): string => `
  WITH old AS MATERIALIZED (
    SELECT ctid FROM ${table} WHERE created_at < now() - make_interval(secs => $1)
    LIMIT $2 FOR UPDATE SKIP LOCKED
  ),
  gone AS (
    DELETE FROM ${table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM old)) RETURNING 1
  )
  SELECT count(*)::int AS forgotten FROM gone`

const purges: Record<Leavings, string> = {
  // Credentials wait for no age. What adopts the row later records its parts anew.
  channels: `
  WITH old AS MATERIALIZED (
    SELECT w.id FROM workspaces w
    WHERE w.status = 'removed' AND w.deletion_policy = 'Delete' AND $1::float8 >= 0 AND cardinality($2::text[]) >= 0
      AND EXISTS (SELECT FROM workspace_channels c WHERE c.workspace_id = w.id)
    ORDER BY w.id LIMIT $3 FOR NO KEY UPDATE OF w SKIP LOCKED
  ),
  forgotten AS (
    UPDATE workspaces w SET parts_hash = NULL FROM old o WHERE w.id = o.id AND w.parts_hash IS NOT NULL
  ),
  gone AS (
    DELETE FROM workspace_channels c USING old o WHERE c.workspace_id = o.id
  )
  SELECT count(*)::int AS purged FROM old`,
  tokens: `
  WITH old AS MATERIALIZED (
    SELECT t.ctid FROM workspace_auth_tokens t
    WHERE t.revoked_at < now() - make_interval(secs => $1) AND cardinality($2::text[]) >= 0
    LIMIT $3 FOR UPDATE SKIP LOCKED
  ),
  gone AS (
    DELETE FROM workspace_auth_tokens WHERE ctid = ANY (ARRAY(SELECT ctid FROM old)) RETURNING 1
  )
  SELECT count(*)::int AS purged FROM gone`,
  // What hangs on the row goes with it: messages are none, and the rest is as bounded as a spec.
  rows: `
  WITH old AS MATERIALIZED (
    SELECT w.id FROM workspaces w
    WHERE w.status = 'removed' AND w.status_since < now() - make_interval(secs => $1) AND w.deletion_policy = 'Delete'
      -- Hashed once; <> ALL reads the whole array for each row.
      AND w.owner_uid NOT IN (SELECT unnest($2::text[]))
      AND NOT EXISTS (SELECT FROM workspaces c WHERE c.parent_id = w.id)
      AND NOT EXISTS (SELECT FROM workspaces f WHERE f.forwarded_to = w.id)
      AND NOT EXISTS (SELECT FROM activity_logs a WHERE a.workspace_id = w.id)
      AND NOT EXISTS (SELECT FROM orphans o WHERE o.owner_uid = w.owner_uid)
      AND NOT EXISTS (SELECT FROM leaked_instances l WHERE l.owner_uid = w.owner_uid)
      AND NOT EXISTS (SELECT FROM retained_instances r WHERE r.owner_uid = w.owner_uid)
    LIMIT $3 FOR UPDATE OF w SKIP LOCKED
  ),
  gone AS (
    DELETE FROM workspaces w USING old o WHERE w.id = o.id RETURNING 1
  )
  SELECT count(*)::int AS purged FROM gone`,
}

export function openHistory(database: Database): HistoryStore {
  return {
    async forget(history, age, limit) {
      const table = tables[history]
      try {
        const values = [age / 1000, limit]
        const [row] = await database.query<{ forgotten: number }>(`forget_${table}`, forget(table), values)
        return row?.forgotten ?? 0
      } catch (error) {
        throw surfaced(error)
      }
    },
    async purge(what, age, present, limit) {
      try {
        const [row] = await database.query<{ purged: number }>(`purge_${what}`, purges[what], [
          age / 1000,
          present,
          limit,
        ])
        return row?.purged ?? 0
      } catch (error) {
        throw surfaced(error)
      }
    },
  }
}
