/** What moves the phase of a row from the controller's side: launch, change, sleep. */
import type { Launch, PhaseChange, RowKey, WorkspaceId, WorkspaceRow } from '../workspace-store.ts'
import { keptFailure, type SentRow } from './row.ts'
import { keyColumns, locked, rowOr, standing } from './standing.ts'
import type { Statement } from './statement.ts'

/** What an inbound secret is sealed for: it opens in no other row. */
export const inboundPlace = (id: WorkspaceId): string => `workspaces/${id}/inbound_secret`

/** A launch as it is written, its secret sealed. */
export type SealedLaunch = Omit<Launch, 'inboundSecret'> & { readonly sealedSecret: Buffer | undefined }

const notLaunched = `(w.status = 'failed' AND w.last_failure IS NOT NULL
        AND (w.last_failure ? 'refused' OR w.last_failure->>'reason' = 'LaunchFailed'))`

/**
 * A launch is known by its token: the same one again is the same launch. An external agent runs wherever it is and has
 * the token that somebody gave it: it keeps that, and its address.
 */
export const launch: Statement<SealedLaunch, SentRow, WorkspaceRow> = {
  name: 'launch',
  key: ({ id }) => id,
  columns: [
    ...keyColumns,
    ['spec_hash', 'text', (l) => l.specHash],
    ['token_hash', 'bytea', (l) => l.tokenHash],
    ['prefix', 'text', (l) => l.tokenPrefix],
    ['sealed_secret', 'bytea', (l) => l.sealedSecret],
    ['variables', 'jsonb', (l) => JSON.stringify(l.variables ?? [])],
    ['at', 'timestamptz', (l) => l.at],
    ['reconcile_id', 'text', (l) => l.reconcileId],
  ],
  sql: `${locked(
    `, w.status AS was, w.launched_at AS launched_before, w.backend = 'external' AS outside`,
    `NOT EXISTS (SELECT FROM workspace_auth_tokens t WHERE t.token_hash = i.token_hash)
      AND NOT (w.backend = 'external' AND w.launched_at IS NOT DISTINCT FROM i.at)`,
  )},
  written AS (
    UPDATE workspaces w SET
      status = 'provisioning',
      status_since = CASE WHEN w.status = 'provisioning' THEN w.status_since ELSE now() END,
      launched_hash = l.spec_hash, launched_at = l.at,
      launch_attempts = CASE WHEN w.launched_hash = l.spec_hash THEN w.launch_attempts + 1 ELSE 1 END,
      -- A launch that follows one that the backend did not carry out is the same try again.
      restarts = CASE WHEN w.launched_at IS NULL OR ${notLaunched} THEN w.restarts ELSE w.restarts + 1 END,
      url = CASE WHEN l.outside THEN w.url ELSE '' END, registered_at = NULL, last_heartbeat_at = NULL,
      active_tasks = 0, busy_since = NULL, current_task = NULL, last_error_rate = 0,
      wake_requested_at = NULL, registration_refusal = NULL, inbound_secret = CASE WHEN NOT l.outside THEN l.sealed_secret END,
      -- Of a launch that did not come to register, what the one before it owed.
      restart_context = CASE
        WHEN l.outside OR w.launched_at IS NULL OR l.was IN ('paused', 'hibernating', 'hibernated') THEN NULL
        WHEN w.registered_at IS NULL THEN w.restart_context
        ELSE jsonb_build_object('id', gen_random_uuid(), 'ended_at', w.last_heartbeat_at)
      END || jsonb_build_object('restarted_at', l.at, 'variables', l.variables),
      leader_epoch = l.epoch, updated_at = now()
    FROM locked l WHERE w.id = l.id
    RETURNING w.*, l.was, l.launched_before, l.reconcile_id
  ),
  revoked AS (
    UPDATE workspace_auth_tokens t SET revoked_at = now()
    FROM locked l WHERE NOT l.outside AND t.workspace_id = l.id AND t.revoked_at IS NULL
  ),
  issued AS (
    INSERT INTO workspace_auth_tokens (workspace_id, token_hash, prefix)
    SELECT l.id, l.token_hash, l.prefix FROM locked l WHERE NOT l.outside ORDER BY l.id
  ),
  -- The birth of the row told of the first launch already.
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT 'WORKSPACE_PROVISIONING', w.id, jsonb_strip_nulls(
      jsonb_build_object('from', w.was, 'attempt', w.launch_attempts, 'reconcileId', w.reconcile_id))
    FROM written w WHERE w.was <> 'provisioning' OR w.launched_before IS NOT NULL
  )${standing}`,
  result: rowOr,
}

/** A column of what runs: nothing does once the phase says so. An external agent runs wherever it is, and stays there. */
const atRest = (column: string, nothing: string, where = 'true'): string =>
  `${column} = CASE WHEN l.become IN ('paused', 'hibernated') AND ${where} THEN ${nothing} ELSE w.${column} END`

export const change: Statement<PhaseChange, SentRow, WorkspaceRow> = {
  name: 'change',
  key: ({ id }) => id,
  columns: [
    ...keyColumns,
    ['was', 'text', (c) => c.from.join(',')],
    ['become', 'workspace_status', (c) => c.to],
    ['event', 'text', (c) => c.event],
    ['reason', 'text', (c) => c.reason],
    ['error', 'text', (c) => c.error],
    ['failure', 'jsonb', (c) => c.failure && keptFailure(c.failure)],
    ['reconcile_id', 'text', (c) => c.reconcileId],
  ],
  sql: `${locked(
    ', w.status AS before',
    `w.status::text = ANY (string_to_array(i.was, ',')) AND w.status <> i.become`,
  )},
  written AS (
    UPDATE workspaces w SET
      status = l.become, status_since = now(), phase_reason = l.reason,
      last_sample_error = COALESCE(l.error, w.last_sample_error), last_failure = COALESCE(l.failure, w.last_failure),
      ${atRest('url', "''", "w.backend <> 'external'")},
      ${atRest('active_tasks', '0')}, ${atRest('busy_since', 'NULL')}, ${atRest('current_task', 'NULL')},
      leader_epoch = l.epoch, updated_at = now()
    FROM locked l WHERE w.id = l.id
    RETURNING w.*
  ),
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT l.event, l.id, jsonb_strip_nulls(
      jsonb_build_object('from', l.before, 'to', l.become, 'reason', l.reason, 'error', l.error,
        'reconcileId', l.reconcile_id))
    FROM locked l
  )${standing}`,
  result: rowOr,
}

export interface Sleep extends RowKey {
  readonly idleSince: Date
}

/**
 * The condition is judged on the row as it is once its lock is ours: a message, a beat or a register that held it before
 * has left its mark there, and one that comes after finds the row `hibernating`.
 */
export const hibernate: Statement<Sleep, SentRow, WorkspaceRow> = {
  name: 'hibernate',
  key: ({ id }) => id,
  columns: [...keyColumns, ['idle_since', 'timestamptz', (s) => s.idleSince]],
  sql: `${locked(
    '',
    `w.status IN ('online', 'degraded') AND w.active_tasks = 0
      AND GREATEST(w.last_task_at, w.last_traffic_at, w.registered_at) <= i.idle_since`,
  )},
  written AS (
    UPDATE workspaces w SET
      status = 'hibernating', status_since = now(), phase_reason = 'Idle', leader_epoch = l.epoch, updated_at = now()
    FROM locked l WHERE w.id = l.id
    RETURNING w.*
  )${standing}`,
  result: rowOr,
}
