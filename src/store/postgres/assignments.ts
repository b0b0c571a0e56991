/** The administrator's hand on rows without an owner: a connection of its own, since no operator needs to run for it. */
import type { AssignmentStore, LegacyRow, Unassignable } from '../assignment-store.ts'
import { singleConnection } from './single-connection.ts'

const list = `
  SELECT w.id, w.name, w.status, w.backend, w.instance_id AS "instanceId", w.assigned_namespace AS "assignedTo"
  FROM workspaces w WHERE w.owner_uid IS NULL ORDER BY w.name, w.id`

const assign = `
  WITH asked AS (SELECT w.id, w.owner_uid, w.assigned_namespace AS before FROM workspaces w WHERE w.id = $1 FOR UPDATE),
  written AS (
    UPDATE workspaces w SET assigned_namespace = $2::text, updated_at = now() FROM asked a
    WHERE w.id = a.id AND a.owner_uid IS NULL AND a.before IS DISTINCT FROM $2::text
    RETURNING w.id, a.before
  ),
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT 'WORKSPACE_ASSIGNED', w.id, jsonb_build_object('from', w.before, 'to', $2::text) FROM written w
  )
  SELECT CASE WHEN a.owner_uid IS NULL THEN 'done' ELSE 'owned' END AS outcome FROM asked a`

interface Listed extends Omit<LegacyRow, 'instanceId' | 'assignedTo'> {
  readonly instanceId: string | null
  readonly assignedTo: string | null
}

/** Connects at once. The schema must have been migrated. */
export async function openAssignments(databaseUrl: string): Promise<AssignmentStore> {
  const { client, close } = singleConnection({ connectionString: databaseUrl, connectionTimeoutMillis: 10_000 })
  // A connection lost between two queries is reported by the next query as well.
  client.on('error', () => {})
  try {
    await client.connect()
  } catch (error) {
    await close()
    throw error
  }
  return {
    async list() {
      const { rows } = await client.query<Listed>(list)
      return rows.map(({ id, name, status, backend, instanceId, assignedTo }) => ({
        id,
        name,
        status,
        backend,
        instanceId: instanceId ?? undefined,
        assignedTo: assignedTo ?? undefined,
      }))
    },
    async assign(row, namespace) {
      const { rows } = await client.query<{ outcome: 'done' | Unassignable }>(assign, [row, namespace ?? null])
      return rows[0]?.outcome ?? 'unknown'
    },
    close,
  }
}
