/** What else a workspace is made of, as one statement over many workspaces: only those whose hash differs are looked at. */
import { Terminal } from '../../errors.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { DeclaredChannel, PartsRecorded, PartStore, WorkspaceParts } from '../part-store.ts'
import type { Database } from './pool.ts'
import { sealVersion, type Seal } from './seal.ts'
import { fenced, type Answer, type Column, type Statement } from './statement.ts'

/** Parts ready to be sent, as JSON: of channels the credentials are sealed. */
type Sendable = Readonly<Record<(typeof json)[number], string>> & { readonly parts: WorkspaceParts }

const json = ['schedules', 'channels', 'keptChannels', 'memories', 'plugins', 'routing'] as const

const columns: readonly Column<Sendable>[] = [
  ['id', 'uuid', ({ parts }) => parts.id],
  ['owner_uid', 'text', ({ parts }) => parts.ownerUid],
  ['namespace', 'text', ({ parts }) => parts.namespace],
  ['generation', 'bigint', ({ parts }) => parts.generation],
  ['hash', 'text', ({ parts }) => parts.hash],
  ['schedules', 'jsonb', ({ schedules }) => schedules],
  ['channels', 'jsonb', ({ channels }) => channels],
  ['kept_channels', 'jsonb', ({ keptChannels }) => keptChannels],
  ['memories', 'jsonb', ({ memories }) => memories],
  ['plugins', 'jsonb', ({ plugins }) => plugins],
  ['routing', 'jsonb', ({ routing }) => routing],
]

const current = `w.status <> 'removed' AND w.owner_uid = i.owner_uid AND w.namespace = i.namespace
  AND w.observed_generation <= i.generation`

const retimed = `(s.cron_expr, s.timezone, s.enabled)
        IS DISTINCT FROM (EXCLUDED.cron_expr, EXCLUDED.timezone, EXCLUDED.enabled)`

const schedules = `
  declared AS MATERIALIZED (
    SELECT l.id AS workspace_id, d.*, s.source AS held_by
    FROM locked l
      CROSS JOIN LATERAL jsonb_to_recordset(l.schedules)
        AS d(name text, cron text, timezone text, prompt text, enabled boolean)
      LEFT JOIN workspace_schedules s ON s.workspace_id = l.id AND s.name = d.name
  ),
  withdrawn AS (
    DELETE FROM workspace_schedules s USING locked l
    WHERE s.workspace_id = l.id AND s.source = 'template'
      AND NOT EXISTS (SELECT FROM declared d WHERE d.workspace_id = s.workspace_id AND d.name = s.name)
  ),
  scheduled AS (
    INSERT INTO workspace_schedules AS s (workspace_id, name, cron_expr, timezone, prompt, enabled, source)
    SELECT d.workspace_id, d.name, d.cron, d.timezone, d.prompt, d.enabled, 'template'
    FROM declared d ORDER BY d.workspace_id, d.name
    ON CONFLICT (workspace_id, name) DO UPDATE SET
      cron_expr = EXCLUDED.cron_expr, timezone = EXCLUDED.timezone, prompt = EXCLUDED.prompt,
      enabled = EXCLUDED.enabled, updated_at = now(),
      next_run_at = CASE WHEN ${retimed} THEN NULL ELSE s.next_run_at END,
      reckoned_from = CASE WHEN ${retimed} THEN now() ELSE s.reckoned_from END
    WHERE s.source = 'template' AND (s.cron_expr, s.timezone, s.prompt, s.enabled)
      IS DISTINCT FROM (EXCLUDED.cron_expr, EXCLUDED.timezone, EXCLUDED.prompt, EXCLUDED.enabled)
  )`

/** Sealing gives another text each time: whether credentials differ is told by their digest. */
const channels = `
  wanted_channels AS MATERIALIZED (
    SELECT l.id AS workspace_id, d.name, d.type, d.config, d."allowedUsers" AS allowed_users, d.enabled,
      decode(d.credentials, 'base64') AS credentials, decode(d.digest, 'base64') AS digest
    FROM locked l CROSS JOIN LATERAL jsonb_to_recordset(l.channels)
      AS d(name text, type text, config jsonb, credentials text, digest text, "allowedUsers" jsonb, enabled boolean)
  ),
  disconnected AS (
    DELETE FROM workspace_channels c USING locked l
    WHERE c.workspace_id = l.id AND NOT l.kept_channels ? c.name
      AND NOT EXISTS (SELECT FROM wanted_channels d WHERE d.workspace_id = c.workspace_id AND d.name = c.name)
  ),
  connected AS (
    INSERT INTO workspace_channels AS c (workspace_id, name, channel_type, channel_config, credentials,
      credentials_digest, encryption_version, allowed_users, enabled)
    SELECT d.workspace_id, d.name, d.type, d.config, d.credentials, d.digest,
      CASE WHEN d.credentials IS NULL THEN 0 ELSE ${sealVersion} END, d.allowed_users, d.enabled
    FROM wanted_channels d ORDER BY d.workspace_id, d.name
    ON CONFLICT (workspace_id, name) DO UPDATE SET
      channel_type = EXCLUDED.channel_type, channel_config = EXCLUDED.channel_config,
      credentials = EXCLUDED.credentials, credentials_digest = EXCLUDED.credentials_digest,
      encryption_version = EXCLUDED.encryption_version, allowed_users = EXCLUDED.allowed_users,
      enabled = EXCLUDED.enabled, updated_at = now()
    WHERE (c.channel_type, c.channel_config, c.credentials_digest, c.encryption_version, c.allowed_users, c.enabled)
      IS DISTINCT FROM (EXCLUDED.channel_type, EXCLUDED.channel_config, EXCLUDED.credentials_digest,
        EXCLUDED.encryption_version, EXCLUDED.allowed_users, EXCLUDED.enabled)
  )`

const rest = `
  seeded AS (
    INSERT INTO agent_memories (workspace_id, content, scope, seed_hash)
    SELECT l.id, m.content, m.scope, sha256(convert_to(m.scope || ':' || m.content, 'UTF8'))
    FROM locked l CROSS JOIN LATERAL jsonb_to_recordset(l.memories) AS m(content text, scope text)
    ORDER BY 1, 4
    ON CONFLICT (workspace_id, seed_hash) DO NOTHING
  ),
  wanted_plugins AS MATERIALIZED (
    SELECT l.id AS workspace_id, p.* FROM locked l
      CROSS JOIN LATERAL jsonb_to_recordset(l.plugins) AS p(name text, source text)
  ),
  retracted AS (
    DELETE FROM workspace_declared_plugins p USING locked l
    WHERE p.workspace_id = l.id
      AND NOT EXISTS (SELECT FROM wanted_plugins d WHERE d.workspace_id = p.workspace_id AND d.name = p.plugin_name)
  ),
  plugged AS (
    INSERT INTO workspace_declared_plugins AS p (workspace_id, plugin_name, source_raw)
    SELECT DISTINCT ON (d.workspace_id, d.name) d.workspace_id, d.name, d.source
    FROM wanted_plugins d ORDER BY d.workspace_id, d.name, d.source
    ON CONFLICT (workspace_id, plugin_name) DO UPDATE SET source_raw = EXCLUDED.source_raw
    WHERE p.source_raw <> EXCLUDED.source_raw
  )`

interface PartsRow extends Answer {
  current: boolean
  changed: boolean
  taken: readonly string[] | null
}

/** A row some of whose schedules found no room keeps a hash that nothing has, so that the next pass looks again. */
const kept = `CASE WHEN t.names IS NULL THEN l.hash ELSE '' END`

const recordParts: Statement<Sendable, PartsRow, PartsRecorded> = {
  name: 'record_parts',
  key: ({ parts }) => parts.id,
  columns,
  sql: `,
  locked AS MATERIALIZED (
    SELECT i.* FROM workspaces w JOIN input i ON i.id = w.id
    WHERE ${current} AND w.parts_hash IS DISTINCT FROM i.hash
    ORDER BY w.id FOR NO KEY UPDATE OF w
  ),${schedules},${channels},${rest},
  taken AS MATERIALIZED (
    SELECT d.workspace_id, jsonb_agg(d.name ORDER BY d.name) AS names
    FROM declared d WHERE d.held_by = 'runtime' GROUP BY d.workspace_id
  ),
  written AS (
    UPDATE workspaces w SET
      parts_hash = ${kept}, category_routing = l.routing,
      leader_epoch = l.epoch, updated_at = now()
    FROM locked l LEFT JOIN taken t ON t.workspace_id = l.id
    WHERE w.id = l.id
      AND (w.parts_hash, w.category_routing) IS DISTINCT FROM (${kept}, l.routing)
    RETURNING w.id
  )
  SELECT i.ord::int AS ord, (${current}) IS TRUE AS current, n.id IS NOT NULL AS changed, t.names AS taken
  FROM input i LEFT JOIN workspaces w ON w.id = i.id LEFT JOIN taken t ON t.workspace_id = i.id
    LEFT JOIN written n ON n.id = i.id`,
  result: (row) =>
    row?.current === true ? { kind: 'recorded', changed: row.changed, taken: row.taken ?? [] } : { kind: 'stale' },
}

/** Bound to its place: a row whose sealed text was copied from another one does not open. */
export const channelPlace = (workspaceId: string, name: string): string => `workspace_channels ${workspaceId} ${name}`

function sealed(channel: DeclaredChannel, id: string, seal: Seal | undefined): object {
  const { credentials } = channel
  if (credentials === undefined) return channel
  if (seal === undefined)
    throw new Terminal('SecretsKeyMissing', 'credentials are kept sealed only, and this operator has no SECRETS_KEY')
  const text = JSON.stringify(Object.fromEntries(Object.entries(credentials).sort(([a], [b]) => (a < b ? -1 : 1))))
  const place = channelPlace(id, channel.name)
  return {
    ...channel,
    credentials: seal.seal(text, place).toString('base64'),
    digest: seal.digest(text, place).toString('base64'),
  }
}

const sendable = (parts: WorkspaceParts, channels: readonly object[]): Sendable => ({
  parts,
  schedules: JSON.stringify(parts.schedules),
  channels: JSON.stringify(channels),
  keptChannels: JSON.stringify(parts.keptChannels),
  memories: JSON.stringify(parts.memories),
  plugins: JSON.stringify(parts.plugins),
  routing: JSON.stringify(parts.routing),
})

/** Without a seal, parts with credentials are refused. */
export function openParts(
  database: Database,
  metrics: Metrics,
  lease: string,
  seal: Seal | undefined,
): PartStore & { close(): Promise<void> } {
  const batcher = fenced(database, metrics, lease, recordParts)
  return {
    async recordParts(parts, fence) {
      const channels = parts.channels.map((channel) => sealed(channel, parts.id, seal))
      return await batcher.add({ item: sendable(parts, channels), fence })
    },
    close: () => batcher.close(),
  }
}
