import type { Knex } from 'knex'

/** What an agent that was restarted is still to be told. Rows of before owe nothing. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('ALTER TABLE workspaces ADD COLUMN restart_context jsonb')
  await knex.raw(`
    COMMENT ON COLUMN workspaces.restart_context IS
      'Owed to the agent since its last launch, {id, ended_at, restarted_at, variables}; NULL: told, or no restart'`)
  await knex.raw(`
    CREATE INDEX workspaces_restart_context ON workspaces (registered_at) WHERE restart_context IS NOT NULL`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP INDEX workspaces_restart_context')
  await knex.raw('ALTER TABLE workspaces DROP COLUMN restart_context')
}
