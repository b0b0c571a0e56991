import type { Knex } from 'knex'

/** What belongs to a workspace: its history, the credentials of its agent, its place on the canvas, its messages. */
export async function up(knex: Knex): Promise<void> {
  // Append-only, and without a foreign key: history outlives what it tells of.
  await knex.raw(`
    CREATE TABLE structure_events (
      id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      event_type   text NOT NULL,
      workspace_id uuid,
      payload      jsonb NOT NULL DEFAULT '{}',
      created_at   timestamptz NOT NULL DEFAULT now()
    )`)
  await knex.raw('CREATE INDEX idx_structure_events_workspace ON structure_events (workspace_id, created_at DESC)')
  await knex.raw(`
    CREATE TABLE workspace_auth_tokens (
      id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      workspace_id uuid NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
      token_hash   bytea NOT NULL UNIQUE,
      prefix       text NOT NULL,
      created_at   timestamptz NOT NULL DEFAULT now(),
      last_used_at timestamptz,
      revoked_at   timestamptz
    )`)
  await knex.raw(`
    CREATE INDEX idx_workspace_auth_tokens_live ON workspace_auth_tokens (workspace_id) WHERE revoked_at IS NULL`)
  await knex.raw(`
    CREATE TABLE canvas_layouts (
      workspace_id uuid PRIMARY KEY REFERENCES workspaces (id) ON DELETE CASCADE,
      x            double precision NOT NULL DEFAULT 0,
      y            double precision NOT NULL DEFAULT 0,
      collapsed    boolean NOT NULL DEFAULT false
    )`)
  await knex.raw(`
    CREATE TABLE activity_logs (
      id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      workspace_id  uuid NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
      activity_type text NOT NULL,
      source_id     uuid,
      target_id     uuid,
      method        text,
      summary       text,
      request_body  jsonb,
      response_body jsonb,
      duration_ms   integer,
      status        text NOT NULL DEFAULT 'ok',
      error_detail  text,
      created_at    timestamptz NOT NULL DEFAULT now()
    )`)
  await knex.raw(`
    CREATE INDEX idx_activity_logs_workspace ON activity_logs (workspace_id, activity_type, created_at DESC)`)
  await knex.raw('CREATE INDEX idx_activity_logs_created_at ON activity_logs (created_at)')
}

export async function down(knex: Knex): Promise<void> {
  for (const table of ['activity_logs', 'canvas_layouts', 'workspace_auth_tokens', 'structure_events'])
    await knex.raw('DROP TABLE ??', [table])
}
