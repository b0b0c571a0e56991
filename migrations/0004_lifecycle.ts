import type { Knex } from 'knex'

/**
 * What the whole life of a workspace needs to remember. None of the new columns of `workspaces` is indexed: beats and
 * messages write them, and must stay updates that no index hears of.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    ALTER TABLE workspaces
      ADD COLUMN last_failure      jsonb,
      ADD COLUMN wanted_since      timestamptz NOT NULL DEFAULT now(),
      ADD COLUMN restarts          integer NOT NULL DEFAULT 0,
      ADD COLUMN busy_since        timestamptz,
      ADD COLUMN last_task_at      timestamptz,
      ADD COLUMN last_traffic_at   timestamptz,
      ADD COLUMN wake_requested_at timestamptz,
      ADD COLUMN phase_reason      text,
      ALTER COLUMN owner_uid DROP NOT NULL,
      ALTER COLUMN template DROP NOT NULL`)
  await knex.raw(`UPDATE workspaces SET owner_uid = NULL WHERE owner_uid = ''`)
  await knex.raw(`
    COMMENT ON COLUMN workspaces.owner_uid IS
      'UID of the resource that the row belongs to; NULL: left by the system before, and free to be adopted'`)
  await knex.raw(`
    COMMENT ON COLUMN workspaces.template IS 'Empty: made without one; NULL: adopted, and not known'`)
  await knex.raw(`
    COMMENT ON COLUMN workspaces.phase_reason IS 'Why the controller last moved the phase; agents leave it as it is'`)
  // Instances that were given up: they may live on. One an owner, and no foreign key: it outlives the row.
  await knex.raw(`
    CREATE TABLE leaked_instances (
      id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      workspace_id uuid NOT NULL,
      owner_uid    text NOT NULL UNIQUE,
      backend      text NOT NULL,
      instance_id  text,
      cause        text NOT NULL,
      leaked_at    timestamptz NOT NULL DEFAULT now()
    )`)
  // Rows of one statement share created_at: the order in which messages came needs a number of its own.
  await knex.raw(`
    ALTER TABLE activity_logs
      ADD COLUMN seq           bigint GENERATED ALWAYS AS IDENTITY,
      ADD COLUMN handed_out_at timestamptz`)
  await knex.raw(`
    CREATE INDEX idx_activity_logs_queued ON activity_logs (workspace_id, seq) WHERE status = 'queued'`)
  // Append-only by time: this costs an insert next to nothing, and the end of old history is all it is asked for.
  await knex.raw(`
    CREATE INDEX idx_structure_events_created_at ON structure_events
      USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on)`)
}

/** The schema before knows neither rows without an owner nor templates that are not known: both become empty. */
export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP INDEX idx_structure_events_created_at')
  await knex.raw('DROP INDEX idx_activity_logs_queued')
  await knex.raw('ALTER TABLE activity_logs DROP COLUMN seq, DROP COLUMN handed_out_at')
  await knex.raw('DROP TABLE leaked_instances')
  await knex.raw(`UPDATE workspaces SET owner_uid = '' WHERE owner_uid IS NULL`)
  await knex.raw(`UPDATE workspaces SET template = '' WHERE template IS NULL`)
  await knex.raw(`
    ALTER TABLE workspaces
      ALTER COLUMN template SET NOT NULL,
      ALTER COLUMN owner_uid SET NOT NULL,
      DROP COLUMN last_failure, DROP COLUMN wanted_since, DROP COLUMN restarts, DROP COLUMN busy_since,
      DROP COLUMN last_task_at, DROP COLUMN last_traffic_at, DROP COLUMN wake_requested_at, DROP COLUMN phase_reason`)
}
