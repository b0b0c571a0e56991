import type { Knex } from 'knex'

/**
 * A row has a tenant, its namespace, and everything that joins rows stays within it: parents, and what may be adopted.
 * Nothing is rewritten: a row that has a parent of another namespace already keeps its place, and is refused by `record`.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    ALTER TABLE workspaces
      ADD COLUMN assigned_namespace text,
      ADD COLUMN legacy boolean NOT NULL DEFAULT false`)
  await knex.raw(`
    COMMENT ON COLUMN workspaces.assigned_namespace IS
      'Namespace that an administrator gave a row without an owner to: only its Workspaces may adopt it'`)
  await knex.raw(`
    COMMENT ON COLUMN workspaces.legacy IS
      'Adopted from the system before, which named volumes and containers by the id of the row'`)
  await knex.raw(`
    UPDATE workspaces w SET legacy = true
    WHERE w.owner_uid IS NOT NULL AND EXISTS (SELECT FROM structure_events e
      WHERE e.workspace_id = w.id AND e.event_type = 'WORKSPACE_ADOPTED' AND e.payload -> 'owner_before' = 'null'::jsonb)`)
  await knex.raw(`
    CREATE INDEX idx_workspaces_assigned ON workspaces (assigned_namespace) WHERE assigned_namespace IS NOT NULL`)
  // What the foreign key asks when a row is deleted. Hardly any row has one.
  await knex.raw('CREATE INDEX idx_workspaces_forwarded_to ON workspaces (forwarded_to) WHERE forwarded_to IS NOT NULL')
  // Of all tokens, since deleting a row deletes the revoked ones as well. The look-up of live ones uses it, too.
  await knex.raw('CREATE INDEX idx_workspace_auth_tokens_workspace ON workspace_auth_tokens (workspace_id)')
  await knex.raw('DROP INDEX idx_workspace_auth_tokens_live')
  // After the statement, which may bring parent and child in any order. Rows whose parent does not change are not asked.
  await knex.raw(`
    CREATE FUNCTION workspaces_same_namespace() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF EXISTS (SELECT FROM workspaces p WHERE p.id = NEW.parent_id AND p.namespace <> NEW.namespace) THEN
        RAISE EXCEPTION 'the parent of row % is of another namespace', NEW.id
          USING ERRCODE = 'check_violation', CONSTRAINT = 'workspaces_same_namespace';
      END IF;
      RETURN NULL;
    END $$`)
  await knex.raw(`
    CREATE TRIGGER workspaces_born_in_namespace AFTER INSERT ON workspaces
      FOR EACH ROW WHEN (NEW.parent_id IS NOT NULL) EXECUTE FUNCTION workspaces_same_namespace()`)
  await knex.raw(`
    CREATE TRIGGER workspaces_moved_in_namespace AFTER UPDATE OF parent_id, namespace ON workspaces
      FOR EACH ROW WHEN (NEW.parent_id IS NOT NULL
        AND (NEW.parent_id, NEW.namespace) IS DISTINCT FROM (OLD.parent_id, OLD.namespace))
      EXECUTE FUNCTION workspaces_same_namespace()`)
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('DROP TRIGGER workspaces_moved_in_namespace ON workspaces')
  await knex.raw('DROP TRIGGER workspaces_born_in_namespace ON workspaces')
  await knex.raw('DROP FUNCTION workspaces_same_namespace()')
  await knex.raw(
    'CREATE INDEX idx_workspace_auth_tokens_live ON workspace_auth_tokens (workspace_id) WHERE revoked_at IS NULL',
  )
  await knex.raw('DROP INDEX idx_workspace_auth_tokens_workspace')
  await knex.raw('DROP INDEX idx_workspaces_forwarded_to')
  await knex.raw('DROP INDEX idx_workspaces_assigned')
  await knex.raw('ALTER TABLE workspaces DROP COLUMN legacy, DROP COLUMN assigned_namespace')
}
