import type { Knex } from 'knex'

/**
 * Rows that were removed with deletionPolicy Delete kept their channels, sealed credentials included, and their schedules
 * stayed on. Since then the removal itself sees to both.
 */
export async function up(knex: Knex): Promise<void> {
  const gone = `w.status = 'removed' AND w.deletion_policy = 'Delete'`
  await knex.raw(`DELETE FROM workspace_channels c USING workspaces w WHERE c.workspace_id = w.id AND ${gone}`)
  await knex.raw(`
    UPDATE workspace_schedules s SET enabled = false, next_run_at = NULL, updated_at = now()
    FROM workspaces w WHERE s.workspace_id = w.id AND s.enabled AND ${gone}`)
  await knex.raw(`UPDATE workspaces w SET parts_hash = NULL WHERE w.parts_hash IS NOT NULL AND ${gone}`)
}

/** What is gone stays gone: the version before neither needs it nor minds. */
export async function down(): Promise<void> {
  await Promise.resolve()
}
