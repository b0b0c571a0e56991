import type { Knex } from 'knex'

/** What the orphan collector needs to remember: whom it may take volumes from, whom it holds in quarantine, its first start. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    ALTER TABLE workspaces ADD COLUMN deletion_policy text
      CONSTRAINT workspaces_deletion_policy_check CHECK (deletion_policy IN ('Delete', 'Retain'))`)
  await knex.raw(`
    COMMENT ON COLUMN workspaces.deletion_policy IS
      'What the resource last said of its instance and volumes, and the last word once it is gone; NULL: never told'`)
  // No foreign key: it outlives the row, which another resource may adopt.
  await knex.raw(`
    CREATE TABLE retained_instances (
      owner_uid     text PRIMARY KEY,
      backend       text NOT NULL,
      namespace     text NOT NULL,
      resource_name text NOT NULL,
      retained_at   timestamptz NOT NULL DEFAULT now()
    )`)
  // One a lease: the epoch in which the collector first ran, which only reports.
  await knex.raw(`
    CREATE TABLE orphan_collectors (
      lease       text PRIMARY KEY,
      first_epoch bigint NOT NULL,
      began_at    timestamptz NOT NULL DEFAULT now()
    )`)
  // Whoever is found innocent, or gone, leaves: the table is as short as the list of today's suspects.
  await knex.raw(`
    CREATE TABLE orphans (
      plane         text NOT NULL CONSTRAINT orphans_plane_check CHECK (plane IN ('row', 'instance', 'volume')),
      backend       text NOT NULL,
      owner_uid     text NOT NULL,
      namespace     text NOT NULL,
      resource_name text NOT NULL,
      cause         text NOT NULL,
      found_at      timestamptz NOT NULL DEFAULT now(),
      reported_at   timestamptz,
      taken_at      timestamptz,
      sweep         uuid,
      PRIMARY KEY (plane, backend, owner_uid)
    )`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP TABLE orphans')
  await knex.raw('DROP TABLE orphan_collectors')
  await knex.raw('DROP TABLE retained_instances')
  await knex.raw('ALTER TABLE workspaces DROP COLUMN deletion_policy')
}
