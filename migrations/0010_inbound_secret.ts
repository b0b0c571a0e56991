import type { Knex } from 'knex'

/** What the operator proves itself with to an agent that it launched. Rows of before have none, and their agents ask for none. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('ALTER TABLE workspaces ADD COLUMN inbound_secret bytea')
  await knex.raw(`
    COMMENT ON COLUMN workspaces.inbound_secret IS
      'Of the last launch, sealed for this row: AES-256-GCM, nonce (12) text tag (16); NULL: the agent asks for none'`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('ALTER TABLE workspaces DROP COLUMN inbound_secret')
}
