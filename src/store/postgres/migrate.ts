/** The schema, brought to where it is wanted. Knex is loaded only when there is something to do: it costs memory. */
import type { Knex } from 'knex'
import { Client, DatabaseError } from 'pg'

interface Migration {
  up(knex: Knex): Promise<void>
  down(knex: Knex): Promise<void>
}

/** Every migration by name, in order. A list and not a folder, so that a bundle carries them; append-only. */
export const migrations: Readonly<Record<string, () => Promise<Migration>>> = {
  '0001_leaders': () => import('../../../migrations/0001_leaders.ts'),
  '0002_workspaces': () => import('../../../migrations/0002_workspaces.ts'),
  '0003_agents': () => import('../../../migrations/0003_agents.ts'),
  '0004_lifecycle': () => import('../../../migrations/0004_lifecycle.ts'),
  '0005_orphans': () => import('../../../migrations/0005_orphans.ts'),
  '0006_parts': () => import('../../../migrations/0006_parts.ts'),
  '0007_own_schedules': () => import('../../../migrations/0007_own_schedules.ts'),
  '0008_tenants': () => import('../../../migrations/0008_tenants.ts'),
  '0009_inboxes': () => import('../../../migrations/0009_inboxes.ts'),
  '0010_inbound_secret': () => import('../../../migrations/0010_inbound_secret.ts'),
  '0011_registration_refusal': () => import('../../../migrations/0011_registration_refusal.ts'),
  '0013_restart_context': () => import('../../../migrations/0013_restart_context.ts'),
}

/** `latest`: everything not yet applied. `next` and `previous`: one step. `nothing`: everything taken back. */
export type Goal = 'latest' | 'next' | 'previous' | 'nothing'

/** The code of PostgreSQL for a table that is not there: nothing was ever migrated. */
const undefinedTable = '42P01'

/** Any number the operator's processes agree on; PostgreSQL locks it for whoever migrates. */
const migrating = 7_263_104_552

/**
 * Brings the schema to the goal and returns the names of the migrations that ran. Several processes may call it at once:
 * one works, the others wait for it and then find nothing to do. Each migration is one transaction.
 */
export async function migrate(databaseUrl: string, goal: Goal = 'latest'): Promise<readonly string[]> {
  const client = new Client({
    connectionString: databaseUrl,
    application_name: 'molecule-operator-migrate',
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
  })
  // A connection lost between two queries is reported here as well as by the next query.
  client.on('error', () => {})
  await client.connect()
  try {
    // Almost every start finds nothing to do, and needs no lock to see that.
    if (goal === 'latest' && (await isLatest(client))) return []
    await client.query('SELECT pg_advisory_lock($1)', [migrating])
    if (goal === 'latest' && (await isLatest(client))) return []
    return await run(databaseUrl, goal)
  } finally {
    await client.end()
  }
}

async function isLatest(client: Client): Promise<boolean> {
  try {
    const applied = await client.query<{ name: string }>('SELECT name FROM knex_migrations')
    const names = new Set(applied.rows.map((row) => row.name))
    return Object.keys(migrations).every((name) => names.has(name))
  } catch (error) {
    if (error instanceof DatabaseError && error.code === undefinedTable) return false
    throw error
  }
}

async function run(databaseUrl: string, goal: Goal): Promise<readonly string[]> {
  const { default: knex } = await import('knex')
  const db = knex({ client: 'pg', connection: databaseUrl, pool: { min: 0, max: 2 } })
  const config = {
    migrationSource: {
      getMigrations: () => Promise.resolve(Object.keys(migrations)),
      getMigrationName: (name: string) => name,
      getMigration: (name: string) => {
        const load = migrations[name]
        if (!load) throw new Error(`the database was migrated by a newer version: ${name} is unknown here`)
        return load()
      },
    },
  }
  try {
    // A process that died while migrating leaves knex's own lock set. Holding ours, we know that nobody works.
    await db.migrate.forceFreeMigrationsLock(config)
    const [, names] = (await step(db, config, goal)) as [number, readonly string[]]
    return names
  } finally {
    await db.destroy()
  }
}

function step(db: Knex, config: Knex.MigratorConfig, goal: Goal): Promise<unknown> {
  switch (goal) {
    case 'latest':
      return db.migrate.latest(config)
    case 'next':
      return db.migrate.up(config)
    case 'previous':
      return db.migrate.down(config)
    case 'nothing':
      return db.migrate.rollback(config, true)
  }
}
