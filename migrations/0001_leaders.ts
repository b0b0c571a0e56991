import type { Knex } from 'knex'

/** Who may write (`leaders`), and the mark of this database on everything made for it (`operator_meta`). */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    CREATE TABLE leaders (
      lease      text PRIMARY KEY,
      epoch      bigint NOT NULL,
      holder     text NOT NULL,
      began_at   timestamptz NOT NULL DEFAULT now()
    )`)
  // One row: the boolean key admits only TRUE.
  await knex.raw(`
    CREATE TABLE operator_meta (
      single     boolean PRIMARY KEY DEFAULT true CHECK (single),
      instance   uuid NOT NULL DEFAULT gen_random_uuid(),
      created_at timestamptz NOT NULL DEFAULT now()
    )`)
  await knex.raw('INSERT INTO operator_meta DEFAULT VALUES')
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP TABLE operator_meta')
  await knex.raw('DROP TABLE leaders')
}
