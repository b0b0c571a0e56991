import type { Metrics } from '../../telemetry/metrics.ts'
import type { LayoutStore, Placement } from '../layout-store.ts'
import type { Database } from './pool.ts'
import { fenced, type Answer, type Statement } from './statement.ts'

interface PlacedRow extends Answer {
  known: boolean
  written: boolean
}

/** The workspace is found by its resource's UID, since the row's id may be an adopted one. */
const place: Statement<Placement, PlacedRow, { known: boolean; written: boolean }> = {
  name: 'place',
  key: ({ workspaceUid }) => workspaceUid,
  columns: [
    ['owner_uid', 'text', (p) => p.workspaceUid],
    ['x', 'double precision', (p) => p.x],
    ['y', 'double precision', (p) => p.y],
  ],
  sql: `,
  known AS MATERIALIZED (
    SELECT i.ord, w.id, i.x, i.y, (o.x, o.y) IS DISTINCT FROM (i.x, i.y) AS differs
    FROM input i JOIN workspaces w ON w.owner_uid = i.owner_uid AND w.status <> 'removed'
      LEFT JOIN canvas_layouts o ON o.workspace_id = w.id
  ),
  written AS (
    INSERT INTO canvas_layouts (workspace_id, x, y)
    SELECT k.id, k.x, k.y FROM known k WHERE k.differs ORDER BY k.id
    ON CONFLICT (workspace_id) DO UPDATE SET x = EXCLUDED.x, y = EXCLUDED.y
  )
  SELECT i.ord::int AS ord, k.id IS NOT NULL AS known, k.differs IS TRUE AS written
  FROM input i LEFT JOIN known k ON k.ord = i.ord`,
  result: (row) => ({ known: row?.known === true, written: row?.written === true }),
}

export function openLayouts(
  database: Database,
  metrics: Metrics,
  lease: string,
): LayoutStore & { close(): Promise<void> } {
  const places = fenced(database, metrics, lease, place)
  return {
    async place(placements, fence) {
      const results = await Promise.all(placements.map((item) => places.add({ item, fence })))
      return {
        written: results.filter((result) => result.written).length,
        unknown: placements.filter((_, index) => results[index]?.known !== true).map((p) => p.workspaceUid),
      }
    },
    close: () => places.close(),
  }
}
