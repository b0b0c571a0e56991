/** Rows that owe their agent a word about its restart (transitions.ts writes them). */
import { milliseconds } from '../../duration.ts'
import type { RestartStore } from '../restart-store.ts'
import type { WorkspaceId } from '../workspace-store.ts'
import { surfaced } from './faults.ts'
import type { Database } from './pool.ts'

/** Ranked within its namespace, so that hundreds of one that cannot be reached do not stand before the first of another. */
const owed = `
  SELECT w.id, w.namespace, w.owner_uid, w.resource_name, w.restart_context AS context,
    date_part('epoch', now() - w.registered_at) * 1000 AS waited
  FROM workspaces w
  WHERE w.restart_context IS NOT NULL AND w.owner_uid IS NOT NULL AND w.registered_at IS NOT NULL
    AND w.status IN ('online', 'degraded') AND (w.delivery_mode = 'poll' OR w.url <> '')
  ORDER BY row_number() OVER (PARTITION BY w.namespace ORDER BY w.registered_at, w.id), w.registered_at, w.id LIMIT $1`

const settle = `
  UPDATE workspaces w SET restart_context = NULL WHERE w.id = $1 AND w.restart_context ->> 'id' = $2`

const drop = `
  WITH dropped AS (
    UPDATE workspaces w SET restart_context = NULL WHERE w.id = $1 AND w.restart_context ->> 'id' = $2 RETURNING w.id
  ),
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT 'RESTART_CONTEXT_DROPPED', d.id, jsonb_build_object('message_id', $2::text, 'reason', $3::text) FROM dropped d
  )
  SELECT count(*)::int AS dropped FROM dropped`

interface OwedRow {
  readonly id: WorkspaceId
  readonly namespace: string
  readonly owner_uid: string
  readonly resource_name: string
  readonly context: {
    readonly id: string
    readonly ended_at: string | null
    readonly restarted_at: string
    readonly variables: readonly string[]
  }
  readonly waited: number
}

export function openRestarts(database: Database): RestartStore {
  async function ask<Row extends object>(name: string, text: string, values: readonly (string | number)[]) {
    try {
      return await database.query<Row & Record<string, unknown>>(name, text, values)
    } catch (error) {
      throw surfaced(error)
    }
  }
  return {
    async owed(limit) {
      const rows = await ask<OwedRow>('restarts_owed', owed, [limit])
      return rows.map(({ id, namespace, owner_uid: ownerUid, resource_name: resourceName, context, waited }) => ({
        workspaceId: id,
        namespace,
        ownerUid,
        resourceName,
        messageId: context.id,
        restartedAt: new Date(context.restarted_at),
        endedAt: context.ended_at === null ? undefined : new Date(context.ended_at),
        variables: context.variables,
        waited: milliseconds(waited),
      }))
    },
    async settle({ workspaceId, messageId }) {
      await ask('restart_settled', settle, [workspaceId, messageId])
    },
    async drop({ workspaceId, messageId }, why) {
      const [row] = await ask<{ dropped: number }>('restart_dropped', drop, [workspaceId, messageId, why])
      return row?.dropped === 1
    },
  }
}
