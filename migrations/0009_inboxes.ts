import type { Knex } from 'knex'

/**
 * How much waits for an agent that polls, as a row that each change of its messages moves along: a bound that counted the
 * messages themselves would read a thousand of them for each that comes. Counted by triggers, so that every way on which
 * messages come and go is counted, a replica of the version before included.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw('ALTER TABLE activity_logs ADD COLUMN body_bytes bigint')
  await knex.raw(`
    COMMENT ON COLUMN activity_logs.body_bytes IS
      'Length of request_body as text when it was written; NULL: older than this column, and not counted in bytes'`)
  // Half of a page stays free, so that a change is written beside the row it replaces and no index hears of it.
  await knex.raw(`
    CREATE TABLE workspace_inboxes (
      workspace_id uuid PRIMARY KEY REFERENCES workspaces (id) ON DELETE CASCADE,
      namespace    text NOT NULL,
      messages     integer NOT NULL,
      bytes        bigint NOT NULL
    ) WITH (fillfactor = 50)`)
  await knex.raw('CREATE INDEX idx_workspace_inboxes_namespace ON workspace_inboxes (namespace)')
  await knex.raw(`
    CREATE FUNCTION workspace_inboxes_grow() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO workspace_inboxes AS b (workspace_id, namespace, messages, bytes)
      SELECT w.id, w.namespace, count(*), sum(COALESCE(a.body_bytes, 0))
      FROM added a JOIN workspaces w ON w.id = a.workspace_id
      WHERE a.status = 'queued' GROUP BY w.id ORDER BY w.id
      ON CONFLICT (workspace_id) DO UPDATE SET
        namespace = EXCLUDED.namespace, messages = b.messages + EXCLUDED.messages, bytes = b.bytes + EXCLUDED.bytes;
      RETURN NULL;
    END $$`)
  await knex.raw(`
    CREATE FUNCTION workspace_inboxes_shrink() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'UPDATE' THEN
        UPDATE workspace_inboxes b SET messages = b.messages - l.messages, bytes = b.bytes - l.bytes
        FROM (SELECT o.workspace_id, count(*) AS messages, sum(COALESCE(o.body_bytes, 0)) AS bytes
          FROM gone o JOIN added n ON n.id = o.id
          WHERE o.status = 'queued' AND n.status <> 'queued' GROUP BY o.workspace_id) l
        WHERE b.workspace_id = l.workspace_id;
      ELSE
        UPDATE workspace_inboxes b SET messages = b.messages - l.messages, bytes = b.bytes - l.bytes
        FROM (SELECT o.workspace_id, count(*) AS messages, sum(COALESCE(o.body_bytes, 0)) AS bytes
          FROM gone o WHERE o.status = 'queued' GROUP BY o.workspace_id) l
        WHERE b.workspace_id = l.workspace_id;
      END IF;
      RETURN NULL;
    END $$`)
  await knex.raw(`
    CREATE TRIGGER activity_logs_queued AFTER INSERT ON activity_logs REFERENCING NEW TABLE AS added
      FOR EACH STATEMENT EXECUTE FUNCTION workspace_inboxes_grow()`)
  await knex.raw(`
    CREATE TRIGGER activity_logs_done AFTER UPDATE ON activity_logs REFERENCING OLD TABLE AS gone NEW TABLE AS added
      FOR EACH STATEMENT EXECUTE FUNCTION workspace_inboxes_shrink()`)
  await knex.raw(`
    CREATE TRIGGER activity_logs_gone AFTER DELETE ON activity_logs REFERENCING OLD TABLE AS gone
      FOR EACH STATEMENT EXECUTE FUNCTION workspace_inboxes_shrink()`)
  // The triggers hold back whoever writes until this migration is through: nothing is counted twice or missed.
  await knex.raw(`
    INSERT INTO workspace_inboxes (workspace_id, namespace, messages, bytes)
    SELECT w.id, w.namespace, count(*), 0
    FROM activity_logs a JOIN workspaces w ON w.id = a.workspace_id
    WHERE a.status = 'queued' GROUP BY w.id`)
}

export async function down(knex: Knex): Promise<void> {
  for (const name of ['activity_logs_gone', 'activity_logs_done', 'activity_logs_queued'])
    await knex.raw('DROP TRIGGER ?? ON activity_logs', [name])
  await knex.raw('DROP FUNCTION workspace_inboxes_shrink()')
  await knex.raw('DROP FUNCTION workspace_inboxes_grow()')
  await knex.raw('DROP TABLE workspace_inboxes')
  await knex.raw('ALTER TABLE activity_logs DROP COLUMN body_bytes')
}
