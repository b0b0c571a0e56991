/** What the controller does to a row that exists: launch, observe, change of phase, removal. */
import type { InstanceFacts, Launch, PhaseChange, WorkspaceId, WorkspaceRow } from '../workspace-store.ts'
import { rawColumns, sentColumns, toWorkspaceRow, type SentRow } from './row.ts'
import type { Answer, Statement } from './statement.ts'

/**
 * The rows to be changed, locked in the order of their ids (so that two batches cannot deadlock) and as they stand at
 * that moment, which may be later than the statement's snapshot.
 */
const locked = (columns: string, condition: string): string => `,
  locked AS MATERIALIZED (
    SELECT i.*${columns}
    FROM workspaces w JOIN input i ON i.id = w.id
    WHERE w.status <> 'removed' AND ${condition}
    ORDER BY w.id FOR NO KEY UPDATE OF w
  )`

/** One row for each input: as written, or as found where nothing was. */
const standing = `
  SELECT i.ord::int AS ord, ${sentColumns('s')}
  FROM input i LEFT JOIN (
    SELECT ${rawColumns('w')} FROM written w
    UNION ALL
    SELECT ${rawColumns('w')} FROM input i JOIN workspaces w ON w.id = i.id
    WHERE w.status <> 'removed' AND i.id NOT IN (SELECT id FROM written)
  ) s ON s.id = i.id`

function rowOr(row: SentRow | undefined, { id }: { id: WorkspaceId }): WorkspaceRow | Error {
  if (!row || row.id === null) return new Error(`workspace ${id} has no live row`)
  return toWorkspaceRow({ ...row, id: row.id })
}

/** A launch is known by its token: the same one again is the same launch. */
export const launch: Statement<Launch, SentRow, WorkspaceRow> = {
  name: 'launch',
  key: ({ id }) => id,
  columns: [
    ['id', 'uuid', (l) => l.id],
    ['spec_hash', 'text', (l) => l.specHash],
    ['token_hash', 'bytea', (l) => l.tokenHash],
    ['prefix', 'text', (l) => l.tokenPrefix],
    ['at', 'timestamptz', (l) => l.at],
  ],
  sql: `${locked(
    ', w.status AS was, w.launched_at AS launched_before',
    'NOT EXISTS (SELECT FROM workspace_auth_tokens t WHERE t.token_hash = i.token_hash)',
  )},
  written AS (
    UPDATE workspaces w SET
      status = 'provisioning',
      status_since = CASE WHEN w.status = 'provisioning' THEN w.status_since ELSE now() END,
      launched_hash = l.spec_hash, launched_at = l.at,
      launch_attempts = CASE WHEN w.launched_hash = l.spec_hash THEN w.launch_attempts + 1 ELSE 1 END,
      url = '', registered_at = NULL, active_tasks = 0, current_task = NULL, last_error_rate = 0,
      leader_epoch = l.epoch, updated_at = now()
    FROM locked l WHERE w.id = l.id
    RETURNING w.*, l.was, l.launched_before
  ),
  revoked AS (
    UPDATE workspace_auth_tokens t SET revoked_at = now()
    FROM locked l WHERE t.workspace_id = l.id AND t.revoked_at IS NULL
  ),
  issued AS (
    INSERT INTO workspace_auth_tokens (workspace_id, token_hash, prefix)
    SELECT l.id, l.token_hash, l.prefix FROM locked l ORDER BY l.id
  ),
  -- The birth of the row told of the first launch already.
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT 'WORKSPACE_PROVISIONING', w.id, jsonb_build_object('from', w.was, 'attempt', w.launch_attempts)
    FROM written w WHERE w.was <> 'provisioning' OR w.launched_before IS NOT NULL
  )${standing}`,
  result: rowOr,
}

export const observed: Statement<InstanceFacts, SentRow, WorkspaceRow> = {
  name: 'observed',
  key: ({ id }) => id,
  columns: [
    ['id', 'uuid', (f) => f.id],
    ['instance_id', 'text', (f) => f.instanceId],
    ['url', 'text', (f) => f.url],
    ['image_digest', 'text', (f) => f.imageDigest],
  ],
  sql: `${locked(
    '',
    `(w.instance_id, w.url, w.runtime_image_digest) IS DISTINCT FROM
       (i.instance_id, COALESCE(i.url, w.url), COALESCE(i.image_digest, w.runtime_image_digest))`,
  )},
  written AS (
    UPDATE workspaces w SET
      instance_id = l.instance_id, url = COALESCE(l.url, w.url),
      runtime_image_digest = COALESCE(l.image_digest, w.runtime_image_digest),
      leader_epoch = l.epoch, updated_at = now()
    FROM locked l WHERE w.id = l.id
    RETURNING w.*
  )${standing}`,
  result: rowOr,
}

export const change: Statement<PhaseChange, SentRow, WorkspaceRow> = {
  name: 'change',
  key: ({ id }) => id,
  columns: [
    ['id', 'uuid', (c) => c.id],
    ['was', 'text', (c) => c.from.join(',')],
    ['become', 'workspace_status', (c) => c.to],
    ['event', 'text', (c) => c.event],
    ['reason', 'text', (c) => c.reason],
    ['error', 'text', (c) => c.error],
  ],
  sql: `${locked(
    ', w.status AS before',
    `w.status::text = ANY (string_to_array(i.was, ',')) AND w.status <> i.become`,
  )},
  written AS (
    UPDATE workspaces w SET
      status = l.become, status_since = now(),
      last_sample_error = COALESCE(l.error, w.last_sample_error),
      leader_epoch = l.epoch, updated_at = now()
    FROM locked l WHERE w.id = l.id
    RETURNING w.*
  ),
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT l.event, l.id, jsonb_strip_nulls(
      jsonb_build_object('from', l.before, 'to', l.become, 'reason', l.reason, 'error', l.error))
    FROM locked l
  )${standing}`,
  result: rowOr,
}

export interface Removal {
  readonly id: WorkspaceId
  readonly ownerUid: string
}

export const remove: Statement<Removal, Answer & { backend: string | null }, { backend: string | undefined }> = {
  name: 'remove',
  key: ({ id }) => id,
  columns: [
    ['id', 'uuid', (r) => r.id],
    ['owner_uid', 'text', (r) => r.ownerUid],
  ],
  sql: `${locked(', w.status AS before', 'w.owner_uid = i.owner_uid')},
  written AS (
    UPDATE workspaces w SET
      status = 'removed', status_since = now(), url = '', leader_epoch = l.epoch, updated_at = now()
    FROM locked l WHERE w.id = l.id
  ),
  revoked AS (
    UPDATE workspace_auth_tokens t SET revoked_at = now()
    FROM locked l WHERE t.workspace_id = l.id AND t.revoked_at IS NULL
  ),
  cleared AS (
    DELETE FROM canvas_layouts c USING locked l WHERE c.workspace_id = l.id
  ),
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT 'WORKSPACE_REMOVED', l.id, jsonb_build_object('from', l.before) FROM locked l
  )
  SELECT i.ord::int AS ord, w.backend
  FROM input i LEFT JOIN workspaces w ON w.id = i.id AND w.owner_uid = i.owner_uid`,
  result: (row) => ({ backend: row?.backend ?? undefined }),
}
