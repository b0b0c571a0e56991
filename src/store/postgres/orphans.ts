/** The orphan collector's look at the rows, and its quarantine. One statement a call; writes are fenced by epoch. */
import type { QueryResultRow } from 'pg'
import { Fenced } from '../../errors.ts'
import type { Fence } from '../../fence.ts'
import type { OrphanStore, OwnedRow, Plane, Suspect } from '../orphan-store.ts'
import { workspaceId } from '../workspace-store.ts'
import { surfaced } from './faults.ts'
import type { Database } from './pool.ts'

/** Holds the epoch's row, so that no later leader begins before the statement is through. No row: the epoch is over. */
const fenced = `fence AS MATERIALIZED (SELECT epoch FROM leaders WHERE lease = $1 AND epoch = $2::bigint FOR SHARE)`

/** `UNION`, since each part has an index or a hash of its own, and a row that two of them find counts once. */
const census = `
  WITH present AS MATERIALIZED (SELECT u.uid FROM unnest($1::text[]) AS u(uid)),
  counted AS (SELECT count(*)::int AS total FROM workspaces),
  found AS (
    SELECT w.id FROM workspaces w LEFT JOIN present p ON p.uid = w.owner_uid
    WHERE w.status <> 'removed' AND w.owner_uid IS NOT NULL AND p.uid IS NULL
    UNION
    SELECT w.id FROM workspaces w WHERE w.owner_uid = ANY ($2::text[])
    UNION
    SELECT w.id FROM workspaces w WHERE w.instance_id = ANY ($3::text[]) AND w.owner_uid IS NOT NULL
  )
  SELECT c.total, w.id, w.owner_uid, w.namespace, w.resource_name, w.backend, w.instance_id,
    w.status <> 'removed' AS live, w.deletion_policy,
    ARRAY(SELECT r.owner_uid FROM retained_instances r WHERE r.owner_uid = ANY ($2::text[])) AS retained
  FROM counted c LEFT JOIN (found f JOIN workspaces w ON w.id = f.id) ON true`

const key = '(plane, backend, owner_uid)'
const payload = (alias: string) => `jsonb_build_object('plane', ${alias}.plane, 'backend', ${alias}.backend,
      'uid', ${alias}.owner_uid, 'namespace', ${alias}.namespace, 'name', ${alias}.resource_name,
      'cause', ${alias}.cause, 'reconcileId', ${alias}.sweep)`
/** The row that belonged to the owner; history without one still tells of its uid in the payload. */
const rowOf = (alias: string) =>
  `(SELECT w.id FROM workspaces w WHERE w.owner_uid = ${alias}.owner_uid ORDER BY w.created_at DESC LIMIT 1)`

const quarantine = `
  WITH ${fenced},
  found AS MATERIALIZED (
    SELECT u.* FROM fence, unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
      AS u(plane, backend, owner_uid, namespace, resource_name, cause)
  ),
  released AS (
    DELETE FROM orphans o USING fence
    WHERE NOT EXISTS (SELECT FROM found f
      WHERE f.plane = o.plane AND f.backend = o.backend AND f.owner_uid = o.owner_uid)
    RETURNING o.*
  ),
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT 'ORPHAN_REMOVED', ${rowOf('r')}, ${payload('r')} FROM released r WHERE r.taken_at IS NOT NULL
  ),
  entered AS (
    INSERT INTO orphans (plane, backend, owner_uid, namespace, resource_name, cause)
    SELECT * FROM found ORDER BY plane, backend, owner_uid
    ON CONFLICT ${key} DO UPDATE SET cause = EXCLUDED.cause WHERE orphans.cause <> EXCLUDED.cause
  )
  SELECT s.*, (SELECT count(*) FROM fence)::int AS led FROM (VALUES (1)) one LEFT JOIN (
    SELECT f.*, (date_part('epoch', now() - COALESCE(o.found_at, now())) * 1000)::float8 AS age,
      o.reported_at IS NOT NULL AS reported, false AS gone
    FROM found f LEFT JOIN orphans o USING ${key}
    UNION ALL
    SELECT r.plane, r.backend, r.owner_uid, r.namespace, r.resource_name, r.cause, 0, false, true
    FROM released r WHERE r.taken_at IS NOT NULL
  ) s ON true`

const mark = (column: 'taken_at' | 'reported_at') => `
  WITH ${fenced},
  marked AS (
    UPDATE orphans o SET ${column} = now(), sweep = $6::uuid FROM fence
    WHERE o.plane = $3 AND o.backend = $4 AND o.owner_uid = $5 AND o.${column} IS NULL
    RETURNING o.*
  ),
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT 'ORPHAN_REPORTED', ${rowOf('m')}, ${payload('m')} FROM marked m WHERE '${column}' = 'reported_at'
  )
  SELECT count(*)::int AS led FROM fence`
const marks = { taken: mark('taken_at'), reported: mark('reported_at') } as const

const firstRun = `
  WITH ${fenced},
  began AS (
    INSERT INTO orphan_collectors (lease, first_epoch) SELECT $1, epoch FROM fence
    ON CONFLICT (lease) DO NOTHING RETURNING first_epoch
  )
  SELECT (SELECT count(*) FROM fence)::int AS led, COALESCE(b.first_epoch, c.first_epoch) = $2::bigint AS first
  FROM (VALUES (1)) one LEFT JOIN began b ON true LEFT JOIN orphan_collectors c ON c.lease = $1`

interface SuspectRow extends QueryResultRow {
  plane: Plane | null
  backend: string
  owner_uid: string
  namespace: string
  resource_name: string
  cause: string
}
interface FoundRow extends QueryResultRow {
  total: number
  retained: string[]
  id: string | null
  owner_uid: string
  namespace: string
  resource_name: string
  backend: string
  instance_id: string | null
  live: boolean
  deletion_policy: 'Delete' | 'Retain' | null
}

export function openOrphans(database: Database, lease: string): OrphanStore {
  /** A statement of the leader: checked by our own clock as it leaves, and by the epoch in the database. */
  async function lead<Row extends QueryResultRow>(
    name: string,
    text: string,
    values: readonly unknown[],
    fence: Fence,
  ): Promise<readonly (Row & { led: number })[]> {
    const all = [lease, String(fence.epoch), ...values]
    const rows = await asked(database.query<Row & { led: number }>(name, text, all, () => fence.check()))
    if (rows[0]?.led !== 1) throw new Fenced(`${name}: epoch ${fence.epoch} of lease ${lease} is over`)
    return rows
  }

  return {
    async firstRun(fence) {
      const [row] = await lead<{ first: boolean }>('orphans_first_run', firstRun, [], fence)
      return row?.first === true
    },
    async census(present, strays) {
      const values = [present, strays.map(({ ownerUid }) => ownerUid), strays.map(({ instanceId }) => instanceId)]
      const rows = await asked(database.query<FoundRow>('orphans_census', census, values))
      const [first] = rows
      const found = rows.flatMap(({ id, ...row }) => (id === null ? [] : [owned(id, row)]))
      return { total: first?.total ?? 0, rows: found, retained: first?.retained ?? [] }
    },
    async quarantine(found, fence) {
      const column = (of: (suspect: Suspect) => string) => found.map(of)
      const values = [
        column((s) => s.plane),
        column((s) => s.backend),
        column((s) => s.ownerUid),
        column((s) => s.namespace),
        column((s) => s.resourceName),
        column((s) => s.cause),
      ]
      const rows = await lead<SuspectRow & { age: number; reported: boolean; gone: boolean }>(
        'orphans_quarantine',
        quarantine,
        values,
        fence,
      )
      const all = rows.flatMap(({ plane, ...row }) => (plane === null ? [] : [{ row, suspect: suspectOf(plane, row) }]))
      return {
        held: all
          .filter(({ row }) => !row.gone)
          .map(({ row, suspect }) => ({ suspect, age: row.age, reported: row.reported })),
        gone: all.filter(({ row }) => row.gone).map(({ suspect }) => suspect),
      }
    },
    async mark({ plane, backend, ownerUid }, as, sweep, fence) {
      await lead(`orphans_mark_${as}`, marks[as], [plane, backend, ownerUid, sweep], fence)
    },
  }
}

async function asked<T>(query: Promise<T>): Promise<T> {
  try {
    return await query
  } catch (error) {
    throw surfaced(error)
  }
}

function owned(id: string, row: Omit<FoundRow, 'id'>): OwnedRow {
  return {
    id: workspaceId(id),
    ownerUid: row.owner_uid,
    namespace: row.namespace,
    resourceName: row.resource_name,
    backend: row.backend,
    instanceId: row.instance_id ?? undefined,
    live: row.live,
    deletionPolicy: row.deletion_policy ?? undefined,
  }
}

const suspectOf = (plane: Plane, row: Omit<SuspectRow, 'plane'>): Suspect => ({
  plane,
  backend: row.backend,
  ownerUid: row.owner_uid,
  namespace: row.namespace,
  resourceName: row.resource_name,
  cause: row.cause,
})
