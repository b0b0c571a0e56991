/** The credentials of agents, as hashes. */
import type { TokenOwner } from '../agent-store.ts'
import type { WorkspaceId } from '../workspace-store.ts'
import type { Answer, Statement } from './statement.ts'

interface TokenRow extends Answer {
  workspace_id: WorkspaceId | null
  namespace: string
}

/** Many tokens at one look. The comparison is of SHA-256 hashes in an index: its timing tells nothing of a token. */
export const authenticate: Statement<Buffer, TokenRow, TokenOwner | undefined> = {
  name: 'authenticate',
  key: (hash) => hash.toString('hex'),
  columns: [['token_hash', 'bytea', (hash) => hash]],
  sql: `
  SELECT i.ord::int AS ord, t.workspace_id, w.namespace
  FROM input i
    JOIN workspace_auth_tokens t ON t.token_hash = i.token_hash AND t.revoked_at IS NULL
    JOIN workspaces w ON w.id = t.workspace_id AND w.status <> 'removed'`,
  result: (row) => (row && row.workspace_id !== null ? { id: row.workspace_id, namespace: row.namespace } : undefined),
}

export const liveTokens = `
  SELECT t.* FROM (
    SELECT t.token_hash AS hash, t.workspace_id AS id, w.namespace, t.created_at
    FROM workspace_auth_tokens t JOIN workspaces w ON w.id = t.workspace_id AND w.status <> 'removed'
    WHERE t.revoked_at IS NULL ORDER BY t.created_at DESC LIMIT $1
  ) t ORDER BY t.created_at`

/** Live tokens a workspace may have at once. */
const mostTokens = 50
/** Again with the same hash is once. Two at the same instant may both find the last room: the limit is no secret. */
export const mint = `
  WITH target AS MATERIALIZED (
    SELECT w.id, (SELECT count(*) FROM workspace_auth_tokens t
      WHERE t.workspace_id = w.id AND t.revoked_at IS NULL AND t.token_hash <> $2) AS live
    FROM workspaces w WHERE w.id = $1 AND w.status <> 'removed' FOR NO KEY UPDATE
  ),
  minted AS (
    INSERT INTO workspace_auth_tokens (workspace_id, token_hash, prefix)
    SELECT t.id, $2, $3 FROM target t WHERE t.live < ${mostTokens}
    ON CONFLICT (token_hash) DO NOTHING
  )
  SELECT CASE WHEN t.live < ${mostTokens} THEN 'minted' ELSE 'full' END AS outcome FROM target t`

/** Old and new change places in one statement: at no instant is there none, or are there both. */
export const rotate = `
  WITH target AS MATERIALIZED (
    SELECT w.id, w.backend = 'external' AS outside
    FROM workspaces w WHERE w.id = $1 AND w.status <> 'removed' FOR NO KEY UPDATE
  ),
  revoked AS (
    UPDATE workspace_auth_tokens t SET revoked_at = now()
    FROM target g WHERE g.outside AND t.workspace_id = g.id AND t.revoked_at IS NULL AND t.token_hash <> $2
  ),
  issued AS (
    INSERT INTO workspace_auth_tokens (workspace_id, token_hash, prefix)
    SELECT g.id, $2, $3 FROM target g WHERE g.outside
    ON CONFLICT (token_hash) DO NOTHING
    RETURNING workspace_id
  ),
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT 'EXTERNAL_CREDENTIALS_ROTATED', i.workspace_id, jsonb_build_object('workspace_id', i.workspace_id)
    FROM issued i
  )
  SELECT CASE WHEN g.outside THEN 'rotated' ELSE 'notExternal' END AS outcome FROM target g`
