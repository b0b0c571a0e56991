/** What the row says of its instance: seen, taken over, given up, and the end of both. */
import {
  workspaceId,
  type InstanceFacts,
  type Leak,
  type RemovedRow,
  type RowOwner,
  type WorkspaceRow,
} from '../workspace-store.ts'
import type { SentRow } from './row.ts'
import { wasOn } from './schedules.ts'
import { keyColumns, locked, rowOr, standing } from './standing.ts'
import type { Answer, Statement } from './statement.ts'

export const observed: Statement<InstanceFacts, SentRow, WorkspaceRow> = {
  name: 'observed',
  key: ({ id }) => id,
  columns: [
    ...keyColumns,
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

export type Adoption = InstanceFacts & { readonly specHash: string }

/**
 * An instance that was running before us. It counts as one that came to register, so that no boot deadline ends it: its
 * agent speaks with the token it has, and asks us for no secret.
 */
export const adopted: Statement<Adoption, SentRow, WorkspaceRow> = {
  name: 'adopted',
  key: ({ id }) => id,
  columns: [
    ...keyColumns,
    ['instance_id', 'text', (a) => a.instanceId],
    ['url', 'text', (a) => a.url],
    ['image_digest', 'text', (a) => a.imageDigest],
    ['spec_hash', 'text', (a) => a.specHash],
  ],
  sql: `${locked(
    '',
    `(w.instance_id, w.url, w.runtime_image_digest, w.launched_hash) IS DISTINCT FROM
       (i.instance_id, COALESCE(i.url, w.url), COALESCE(i.image_digest, w.runtime_image_digest), i.spec_hash)`,
  )},
  written AS (
    UPDATE workspaces w SET
      instance_id = l.instance_id, url = COALESCE(l.url, w.url),
      runtime_image_digest = COALESCE(l.image_digest, w.runtime_image_digest),
      launched_hash = l.spec_hash, launched_at = COALESCE(w.launched_at, now()), launch_attempts = 0,
      registered_at = COALESCE(w.registered_at, now()), inbound_secret = NULL,
      leader_epoch = l.epoch, updated_at = now()
    FROM locked l WHERE w.id = l.id
    RETURNING w.*
  ),
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT 'WORKSPACE_ADOPTED', w.id, jsonb_build_object('instance_id', w.instance_id) FROM written w
  )${standing}`,
  result: rowOr,
}

export interface Removal extends RowOwner {
  /** The resource's last word; undefined leaves what it said before. */
  readonly deletionPolicy: 'Delete' | 'Retain' | undefined
}

interface RemovedSent extends Answer {
  id: string | null
  backend: string
  instance_id: string | null
}
const ofOwner = 'w.owner_uid = i.owner_uid AND w.namespace = i.namespace'

export const remove: Statement<Removal, RemovedSent, RemovedRow | undefined> = {
  name: 'remove',
  key: ({ ownerUid }) => ownerUid,
  columns: [
    ['owner_uid', 'text', (r) => r.ownerUid],
    ['namespace', 'text', (r) => r.namespace],
    ['deletion_policy', 'text', (r) => r.deletionPolicy],
  ],
  sql: `,
  locked AS MATERIALIZED (
    SELECT w.id, w.status AS before, i.deletion_policy, i.epoch FROM workspaces w JOIN input i ON ${ofOwner}
    WHERE w.status <> 'removed' ORDER BY w.id FOR NO KEY UPDATE OF w
  ),
  written AS (
    UPDATE workspaces w SET
      status = 'removed', status_since = now(), url = '', inbound_secret = NULL, leader_epoch = l.epoch, updated_at = now(),
      deletion_policy = COALESCE(l.deletion_policy, w.deletion_policy),
      parts_hash = CASE COALESCE(l.deletion_policy, w.deletion_policy) WHEN 'Delete' THEN NULL ELSE w.parts_hash END
    FROM locked l WHERE w.id = l.id
  ),
  -- People may change their mind while a deletion waits.
  reconsidered AS (
    UPDATE workspaces w SET
      deletion_policy = i.deletion_policy,
      parts_hash = CASE i.deletion_policy WHEN 'Delete' THEN NULL ELSE w.parts_hash END
    FROM input i
    WHERE ${ofOwner} AND w.status = 'removed'
      AND w.deletion_policy IS DISTINCT FROM i.deletion_policy AND i.deletion_policy IS NOT NULL
  ),
  -- Outlives the row, which another resource may adopt: what was retained is nobody's to collect.
  retained AS (
    INSERT INTO retained_instances (owner_uid, backend, namespace, resource_name)
    SELECT w.owner_uid, w.backend, w.namespace, w.resource_name
    FROM input i JOIN workspaces w ON ${ofOwner}
    WHERE COALESCE(i.deletion_policy, w.deletion_policy) = 'Retain'
    ORDER BY w.owner_uid ON CONFLICT (owner_uid) DO NOTHING
  ),
  given_up AS (
    DELETE FROM retained_instances r USING input i
    WHERE r.owner_uid = i.owner_uid AND r.namespace = i.namespace AND i.deletion_policy = 'Delete'
  ),
  revoked AS (
    UPDATE workspace_auth_tokens t SET revoked_at = now()
    FROM locked l WHERE t.workspace_id = l.id AND t.revoked_at IS NULL
  ),
  -- Credentials leave with what they were for, and no schedule stays on. Those that were on are marked, so that they are
  -- switched on again where the row is taken up again.
  given_up_parts AS MATERIALIZED (
    SELECT w.id FROM input i JOIN workspaces w ON ${ofOwner}
    WHERE COALESCE(i.deletion_policy, w.deletion_policy) = 'Delete'
  ),
  disconnected AS (
    DELETE FROM workspace_channels c USING given_up_parts g WHERE c.workspace_id = g.id
  ),
  unscheduled AS (
    UPDATE workspace_schedules s SET enabled = false, next_run_at = ${wasOn}, updated_at = now()
    FROM given_up_parts g WHERE s.workspace_id = g.id AND s.enabled
  ),
  cleared AS (
    DELETE FROM canvas_layouts c USING locked l WHERE c.workspace_id = l.id
  ),
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT 'WORKSPACE_REMOVED', l.id, jsonb_build_object('from', l.before) FROM locked l
  )
  SELECT i.ord::int AS ord, w.id, w.backend, w.instance_id FROM input i LEFT JOIN workspaces w ON ${ofOwner}`,
  result: (row) =>
    row && row.id !== null
      ? { id: workspaceId(row.id), backend: row.backend, instanceId: row.instance_id ?? undefined }
      : undefined,
}

/** One an owner: what is given up twice was given up once. */
export const leak: Statement<Leak, Answer, void> = {
  name: 'leak',
  key: ({ ownerUid }) => ownerUid,
  columns: [
    ['id', 'uuid', (l) => l.id],
    ['owner_uid', 'text', (l) => l.ownerUid],
    ['backend', 'text', (l) => l.backend],
    ['instance_id', 'text', (l) => l.instanceId],
    ['cause', 'text', (l) => l.cause],
  ],
  sql: `,
  leaked AS (
    INSERT INTO leaked_instances (workspace_id, owner_uid, backend, instance_id, cause)
    SELECT i.id, i.owner_uid, i.backend, i.instance_id, i.cause FROM input i ORDER BY i.owner_uid
    ON CONFLICT (owner_uid) DO NOTHING
    RETURNING *
  ),
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT 'WORKSPACE_INSTANCE_LEAKED', l.workspace_id,
      jsonb_build_object('backend', l.backend, 'instance_id', l.instance_id, 'cause', l.cause)
    FROM leaked l
  )
  SELECT i.ord::int AS ord FROM input i`,
  result: () => {},
}
