import type { History, HistoryStore } from '../history-store.ts'
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
  }
}
