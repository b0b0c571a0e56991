import { readdirSync } from 'node:fs'
import { Client } from 'pg'
import { expect, test } from 'vitest'
import { migrate, migrations } from '../../src/store/postgres/migrate.ts'
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
