import type { Knex } from 'knex'

/** What else a workspace is made of: schedules and their runs, channels, memories, declared plugins, routing. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    ALTER TABLE workspaces
      ADD COLUMN parts_hash text,
      ADD COLUMN category_routing jsonb NOT NULL DEFAULT '{}'`)
  await knex.raw(`
    COMMENT ON COLUMN workspaces.parts_hash IS
      'Digest of the parts that were recorded last; empty: not all of them could be; NULL: there never were any'`)
  // Whoever changes cron_expr, timezone or enabled sets next_run_at to NULL: the scheduler then reckons it anew.
  await knex.raw(`
    CREATE TABLE workspace_schedules (
      id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      workspace_id  uuid NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
      name          text NOT NULL,
      cron_expr     text NOT NULL,
      timezone      text NOT NULL DEFAULT 'UTC',
      prompt        text NOT NULL,
      enabled       boolean NOT NULL DEFAULT true,
      source        text NOT NULL DEFAULT 'runtime'
        CONSTRAINT workspace_schedules_source_check CHECK (source IN ('template', 'runtime')),
      next_run_at   timestamptz,
      reckoned_from timestamptz NOT NULL DEFAULT now(),
      last_run_at   timestamptz,
      last_status   text,
      last_error    text,
      run_count     integer NOT NULL DEFAULT 0,
      created_at    timestamptz NOT NULL DEFAULT now(),
      updated_at    timestamptz NOT NULL DEFAULT now(),
      UNIQUE (workspace_id, name)
    )`)
  await knex.raw(`
    COMMENT ON COLUMN workspace_schedules.next_run_at IS 'NULL: not reckoned yet; infinity: never, last_error may say why'`)
  await knex.raw(`
    COMMENT ON COLUMN workspace_schedules.reckoned_from IS
      'The time of this server at which next_run_at was reckoned: later than now() means that the clock was set back'`)
  await knex.raw('CREATE INDEX idx_workspace_schedules_next ON workspace_schedules (next_run_at) WHERE enabled')
  await knex.raw('CREATE INDEX idx_workspace_schedules_reckoned ON workspace_schedules (reckoned_from) WHERE enabled')
  // The key is what makes a prompt be delivered once: one row a schedule and due time, however often it is claimed.
  await knex.raw(`
    CREATE TABLE workspace_schedule_runs (
      id           uuid PRIMARY KEY,
      schedule_id  uuid NOT NULL REFERENCES workspace_schedules (id) ON DELETE CASCADE,
      workspace_id uuid NOT NULL,
      due_at       timestamptz NOT NULL,
      fire_at      timestamptz NOT NULL,
      status       text NOT NULL CONSTRAINT workspace_schedule_runs_status_check
        CHECK (status IN ('waiting', 'delivering', 'ok', 'error', 'skipped')),
      detail       text,
      attempts     integer NOT NULL DEFAULT 0,
      leader_epoch bigint NOT NULL,
      claimed_at   timestamptz NOT NULL DEFAULT now(),
      started_at   timestamptz,
      finished_at  timestamptz,
      CONSTRAINT workspace_schedule_runs_finished_check
        CHECK ((status IN ('waiting', 'delivering')) = (finished_at IS NULL)),
      UNIQUE (schedule_id, due_at)
    )`)
  await knex.raw(`
    CREATE INDEX idx_workspace_schedule_runs_open ON workspace_schedule_runs (fire_at) WHERE finished_at IS NULL`)
  await knex.raw(`
    CREATE TABLE workspace_channels (
      id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      workspace_id       uuid NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
      name               text NOT NULL,
      channel_type       text NOT NULL,
      channel_config     jsonb NOT NULL DEFAULT '{}',
      credentials        bytea,
      credentials_digest bytea,
      encryption_version integer NOT NULL DEFAULT 0,
      allowed_users      jsonb,
      enabled            boolean NOT NULL DEFAULT true,
      created_at         timestamptz NOT NULL DEFAULT now(),
      updated_at         timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT workspace_channels_sealed_check CHECK ((credentials IS NULL) = (encryption_version = 0)),
      UNIQUE (workspace_id, name)
    )`)
  await knex.raw(`
    COMMENT ON COLUMN workspace_channels.encryption_version IS '0: no credentials; 1: AES-256-GCM, nonce (12) text tag (16)'`)
  await knex.raw(`
    CREATE TABLE agent_memories (
      id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      workspace_id uuid NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
      content      text NOT NULL,
      scope        varchar(10) NOT NULL
        CONSTRAINT agent_memories_scope_check CHECK (scope IN ('LOCAL', 'TEAM', 'GLOBAL')),
      namespace    varchar(50) NOT NULL DEFAULT 'general',
      seed_hash    bytea,
      forgotten_at timestamptz,
      created_at   timestamptz NOT NULL DEFAULT now(),
      updated_at   timestamptz NOT NULL DEFAULT now(),
      content_tsv  tsvector GENERATED ALWAYS AS (to_tsvector('english'::regconfig, content)) STORED,
      UNIQUE (workspace_id, seed_hash)
    )`)
  await knex.raw(`
    COMMENT ON COLUMN agent_memories.seed_hash IS
      'Of a memory that the spec gave: digest of scope and content as given, whatever the agent made of it since'`)
  await knex.raw(`
    COMMENT ON COLUMN agent_memories.forgotten_at IS 'Deleted by the agent; kept where seeded, so that it is not given again'`)
  await knex.raw('CREATE INDEX idx_agent_memories_content ON agent_memories USING gin (content_tsv)')
  await knex.raw(`
    CREATE TABLE workspace_declared_plugins (
      workspace_id uuid NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
      plugin_name  text NOT NULL,
      source_raw   text NOT NULL,
      created_at   timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (workspace_id, plugin_name)
    )`)
}

export async function down(knex: Knex): Promise<void> {
  for (const table of [
    'workspace_declared_plugins',
    'agent_memories',
    'workspace_channels',
    'workspace_schedule_runs',
    'workspace_schedules',
  ])
    await knex.raw('DROP TABLE ??', [table])
  await knex.raw('ALTER TABLE workspaces DROP COLUMN parts_hash, DROP COLUMN category_routing')
}
