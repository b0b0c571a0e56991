import type { Knex } from 'knex'

/** One row a Workspace: what was asked, what runs, what the agent says. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    CREATE TYPE workspace_status AS ENUM (
      'provisioning', 'online', 'offline', 'degraded', 'failed',
      'paused', 'hibernating', 'hibernated', 'awaiting_agent', 'removed'
    )`)
  // Heartbeats rewrite unindexed columns alone; the free space in each page keeps those updates out of the indexes.
  await knex.raw(`
    CREATE TABLE workspaces (
      id                   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      name                 text NOT NULL,
      role                 text,
      tier                 integer NOT NULL DEFAULT 1,
      status               workspace_status NOT NULL DEFAULT 'provisioning',
      parent_id            uuid REFERENCES workspaces (id)
        CONSTRAINT workspaces_parent_id_check CHECK (parent_id <> id),
      forwarded_to         uuid REFERENCES workspaces (id),
      runtime              text NOT NULL,
      model                text NOT NULL,
      template             text NOT NULL DEFAULT '',
      instance_id          text,
      runtime_image_digest text,
      url                  text NOT NULL DEFAULT '',
      agent_card           jsonb,
      last_heartbeat_at    timestamptz,
      last_error_rate      double precision NOT NULL DEFAULT 0,
      last_sample_error    text,
      active_tasks         integer NOT NULL DEFAULT 0,
      max_concurrent_tasks integer NOT NULL DEFAULT 1,
      uptime_seconds       integer NOT NULL DEFAULT 0,
      current_task         text,
      monthly_spend        bigint NOT NULL DEFAULT 0,
      last_outbound_at     timestamptz,
      workspace_dir        text,
      workspace_access     varchar(20) NOT NULL DEFAULT 'none'
        CONSTRAINT workspaces_workspace_access_check CHECK (workspace_access IN ('none', 'read_only', 'read_write')),
      delivery_mode        text NOT NULL DEFAULT 'push'
        CONSTRAINT workspaces_delivery_mode_check CHECK (delivery_mode IN ('push', 'poll')),
      update_tier          text NOT NULL DEFAULT 'production'
        CONSTRAINT workspaces_update_tier_check CHECK (update_tier IN ('canary', 'production')),
      compute              jsonb NOT NULL DEFAULT '{}',
      created_at           timestamptz NOT NULL DEFAULT now(),
      updated_at           timestamptz NOT NULL DEFAULT now(),

      owner_uid            text NOT NULL,
      namespace            text NOT NULL,
      resource_name        text NOT NULL,
      backend              text NOT NULL,
      observed_generation  bigint NOT NULL,
      spec_hash            text NOT NULL,
      leader_epoch         bigint NOT NULL,
      status_since         timestamptz NOT NULL DEFAULT now(),
      launched_hash        text,
      launched_at          timestamptz,
      launch_attempts      integer NOT NULL DEFAULT 0,
      registered_at        timestamptz,
      signalled_at         timestamptz
    ) WITH (fillfactor = 80)`)
  await knex.raw(`
    COMMENT ON COLUMN workspaces.signalled_at IS
      'Last change of meaning that an agent or a sweeper made: what NOTIFY said, for a listener that missed it'`)
  // Namespace is part of it for the roots alone: children share it with their parent.
  await knex.raw(`
    CREATE UNIQUE INDEX workspaces_parent_name_uniq ON workspaces
      (COALESCE(parent_id, '00000000-0000-0000-0000-000000000000'::uuid), namespace, name)
      WHERE status <> 'removed'`)
  await knex.raw('CREATE INDEX idx_workspaces_parent_id ON workspaces (parent_id)')
  await knex.raw('CREATE INDEX idx_workspaces_owner_uid ON workspaces (owner_uid)')
  await knex.raw('CREATE INDEX idx_workspaces_status ON workspaces (status)')
  await knex.raw('CREATE INDEX idx_workspaces_instance_id ON workspaces (instance_id) WHERE instance_id IS NOT NULL')
  await knex.raw(
    `CREATE INDEX idx_workspaces_runtime_image_digest ON workspaces (runtime_image_digest)
      WHERE runtime_image_digest IS NOT NULL`,
  )
  await knex.raw('CREATE INDEX idx_workspaces_signalled_at ON workspaces (signalled_at) WHERE signalled_at IS NOT NULL')
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP TABLE workspaces')
  await knex.raw('DROP TYPE workspace_status')
}
