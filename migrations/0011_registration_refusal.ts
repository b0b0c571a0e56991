import type { Knex } from 'knex'

/**
 * Why an agent could not register. And external agents that beat without an address, where no message reaches them, are
 * not online: an operator of before, which may still run beside this one, calls them so again with their next beat.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('ALTER TABLE workspaces ADD COLUMN registration_refusal text')
  await knex.raw(`
    COMMENT ON COLUMN workspaces.registration_refusal IS
      'What its last registration was refused for, since its launch; NULL once it has registered'`)
  await knex.raw(`
    UPDATE workspaces SET
      status = 'awaiting_agent', status_since = now(), registered_at = NULL, signalled_at = now(), updated_at = now()
    WHERE backend = 'external' AND url = '' AND delivery_mode = 'push' AND status IN ('online', 'degraded')`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('ALTER TABLE workspaces DROP COLUMN registration_refusal')
}
