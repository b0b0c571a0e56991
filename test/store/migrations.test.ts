import { readdirSync } from 'node:fs'
import { Client } from 'pg'
import { expect, test } from 'vitest'
import { migrate, migrations, requireLatest } from '../../src/store/postgres/migrate.ts'
import { phases } from '../../src/store/workspace-store.ts'
import { emptyDatabase } from '../support/database.ts'

const [url, shared] = [await emptyDatabase(), await emptyDatabase()]
const names = Object.keys(migrations)

async function query(text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows
  } finally {
    await client.end()
  }
}

/** Empties the database, and brings it to where this migration is the next. */
async function migrateBefore(name: string): Promise<void> {
  await migrate(url, 'nothing')
  for (const _ of names.slice(0, names.indexOf(name))) await migrate(url, 'next')
}

/** Everything that a migration could leave behind. */
const schema = () =>
  query(`
    SELECT c.relkind::text AS kind, c.relname AS name, a.attname AS part, format_type(a.atttypid, a.atttypmod) AS type
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE 'knex%'
    UNION ALL
    SELECT 'enum', t.typname, e.enumlabel, NULL FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
    UNION ALL
    SELECT 'check', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE 'knex%'
    ORDER BY 1, 2, 3`)

test('the list names every file of the folder', () => {
  const files = readdirSync('migrations').filter((file) => file.endsWith('.ts'))
  expect(files.map((file) => file.replace(/\.ts$/, '')).sort()).toEqual(names)
})

test('every migration goes up, down and up again', async () => {
  const stages: unknown[] = [await schema()]
  for (const name of names) {
    expect(await migrate(url, 'next')).toEqual([name])
    stages.push(await schema())
  }
  for (const name of names.toReversed()) {
    expect(await schema()).toEqual(stages.pop())
    expect(await migrate(url, 'previous')).toEqual([name])
  }
  expect(await schema()).toEqual([])
  expect(await migrate(url)).toEqual(names)
  expect(await migrate(url)).toEqual([])
  expect(await migrate(url, 'nothing')).toEqual(names.toReversed())
  expect(await schema()).toEqual([])
})

test('all ten phases are in the enum from the first', async () => {
  await migrate(url)
  const rows = await query('SELECT unnest(enum_range(NULL::workspace_status))::text AS phase')
  expect(new Set(rows.map((row) => row['phase']))).toEqual(new Set(phases))
})

test('the identity of the database is made once', async () => {
  await migrate(url)
  const [before] = await query('SELECT instance FROM operator_meta')
  await migrate(url)
  expect(await query('SELECT instance FROM operator_meta')).toEqual([before])
  await expect(query('INSERT INTO operator_meta DEFAULT VALUES')).rejects.toThrow(/duplicate key/)
})

test('five at once: one migrates, all succeed', async () => {
  const ran = await Promise.all(Array.from({ length: 5 }, () => migrate(shared)))
  expect(ran.filter((list) => list.length > 0)).toEqual([names])
})

test('a lock left by a process that died while migrating is no obstacle', async () => {
  await migrate(url)
  await migrate(url, 'previous')
  await query('UPDATE knex_migrations_lock SET is_locked = 1')
  expect(await migrate(url)).toEqual(names.slice(-1))
})

test('a filled database keeps every row, status, instance and parent, and knows which rows were adopted', async () => {
  await migrateBefore('0008_tenants')
  await query(`
    WITH made AS (
      INSERT INTO workspaces (id, name, runtime, model, owner_uid, namespace, resource_name, backend, status, instance_id,
        observed_generation, spec_hash, leader_epoch, deletion_policy)
      SELECT gen_random_uuid(), kind, 'r', 'm', owner, namespace, kind, 'docker', status::workspace_status, 'i-' || kind, 1,
        'h', 1, policy
      FROM (VALUES
        ('left', NULL, '', 'online', NULL), ('taken', 'u-1', 'acme', 'online', 'Delete'),
        ('own', 'u-2', 'acme', 'paused', 'Retain'), ('gone', 'u-3', 'acme', 'removed', 'Delete')
      ) AS v(kind, owner, namespace, status, policy)
      RETURNING *
    ), told AS (
      INSERT INTO structure_events (event_type, workspace_id, payload)
      SELECT 'WORKSPACE_ADOPTED', id, jsonb_build_object('owner_before', CASE name WHEN 'own' THEN 'u-0' END)
      FROM made WHERE name IN ('taken', 'own')
    ), tokens AS (
      INSERT INTO workspace_auth_tokens (workspace_id, token_hash, prefix) SELECT id, sha256(name::bytea), 'p' FROM made
    )
    INSERT INTO workspaces (name, runtime, model, owner_uid, namespace, resource_name, backend, observed_generation, spec_hash,
      leader_epoch, parent_id)
    SELECT 'below', 'r', 'm', 'u-4', 'attacker', 'below', 'docker', 1, 'h', 1, id FROM made WHERE name = 'own'`)
  const kept = () =>
    query(`SELECT to_jsonb(w) - 'legacy' - 'assigned_namespace' AS row, to_jsonb(t) AS token
      FROM workspaces w LEFT JOIN workspace_auth_tokens t ON t.workspace_id = w.id ORDER BY w.id`)
  const before = await kept()
  expect(before).toHaveLength(5)
  expect(await migrate(url)).toContain('0008_tenants')
  // A later migration may add columns of its own.
  expect(await kept()).toMatchObject(before)
  expect(await query('SELECT name FROM workspaces WHERE legacy OR assigned_namespace IS NOT NULL')).toEqual([
    { name: 'taken' },
  ])
})

test('a schema of a newer version is refused, whatever is asked for, and can be taken back by that version', async () => {
  await migrate(url)
  await query("INSERT INTO knex_migrations (name, batch, migration_time) VALUES ('0099_future', 99, now())")
  const refusal = new RegExp(`0099_future is unknown here: run that version, .* migrate --to ${names.at(-1) ?? ''}$`)
  for (const goal of ['latest', 'next', 'previous', 'nothing', { to: names[0] ?? '' }] as const)
    await expect(migrate(url, goal)).rejects.toThrow(refusal)
  await expect(requireLatest(url)).rejects.toThrow(refusal)
  await query("DELETE FROM knex_migrations WHERE name = '0099_future'")
  expect(await migrate(url)).toEqual([])
})

test('an operator that does not migrate says which command does', async () => {
  await migrate(url, 'nothing')
  await expect(requireLatest(url)).rejects.toThrow(
    /^the database has no schema yet: run molecule-operator migrate, or set MIGRATE=true$/,
  )
  await migrate(url)
  expect(await requireLatest(url)).toEqual([])
  await migrate(url, 'previous')
  await expect(requireLatest(url)).rejects.toThrow(
    `the database lacks ${names.at(-1) ?? ''}: run molecule-operator migrate, or set MIGRATE=true`,
  )
})

test('the schema is taken back to where a migration was the last', async () => {
  await migrate(url)
  const to = names.at(-3) ?? ''
  expect(await migrate(url, { to })).toEqual(names.slice(-2).toReversed())
  expect(await migrate(url, { to })).toEqual([])
  await expect(migrate(url, { to: names.at(-1) ?? '' })).rejects.toThrow(/is not applied: there is no way back to it$/)
  expect(await migrate(url)).toEqual(names.slice(-2))
})

test('rows that were removed before lose channels and schedules; those that were retained keep them', async () => {
  await migrateBefore('0013_parts_of_removed')
  await query(`
    WITH made AS (
      INSERT INTO workspaces (name, runtime, model, owner_uid, namespace, resource_name, backend, status,
        observed_generation, spec_hash, leader_epoch, deletion_policy, parts_hash)
      SELECT kind, 'r', 'm', kind, 'acme', kind, 'docker', status::workspace_status, 1, 'h', 1, policy, 'p'
      FROM (VALUES ('gone', 'removed', 'Delete'), ('kept', 'removed', 'Retain'), ('live', 'online', 'Delete'))
        AS v(kind, status, policy)
      RETURNING id
    ), channels AS (
      INSERT INTO workspace_channels (workspace_id, name, channel_type, credentials, encryption_version)
      SELECT id, 'tg', 'telegram', '\\x00', 1 FROM made
    )
    INSERT INTO workspace_schedules (workspace_id, name, cron_expr, prompt) SELECT id, 's', '0 0 * * *', 'p' FROM made`)
  await migrate(url)
  expect(
    await query(`
      SELECT w.name, w.parts_hash, c.name AS channel, s.enabled FROM workspaces w
        LEFT JOIN workspace_channels c ON c.workspace_id = w.id JOIN workspace_schedules s ON s.workspace_id = w.id
      ORDER BY w.name`),
  ).toEqual([
    { name: 'gone', parts_hash: null, channel: null, enabled: false },
    { name: 'kept', parts_hash: 'p', channel: 'tg', enabled: true },
    { name: 'live', parts_hash: 'p', channel: 'tg', enabled: true },
  ])
})
