import type { Knex } from 'knex'

/** Agents that run their schedules themselves say so with each beat. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('ALTER TABLE workspaces ADD COLUMN owns_schedules boolean NOT NULL DEFAULT false')
  await knex.raw(`
    COMMENT ON COLUMN workspaces.owns_schedules IS
      'By its last beat the agent runs its schedules itself: while it is there, nobody else does'`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('ALTER TABLE workspaces DROP COLUMN owns_schedules')
}
