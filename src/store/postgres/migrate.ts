/** The schema, brought to where it is wanted. Knex is loaded only when there is something to do: it costs memory. */
import type { Knex } from 'knex'
import { DatabaseError, type Client } from 'pg'
import { singleConnection } from './single-connection.ts'

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
  '0012_restart_context': () => import('../../../migrations/0012_restart_context.ts'),
  '0013_parts_of_removed': () => import('../../../migrations/0013_parts_of_removed.ts'),
}

const names = Object.keys(migrations)
/** Name of the last migration of this version. */
export const latestMigration = names.at(-1) ?? ''
export const isMigration = (name: string): boolean => name in migrations

/**
 * `latest`: everything not yet applied. `next` and `previous`: one step. `nothing`: everything taken back. `to`: what came
 * after that migration taken back.
 */
export type Goal = 'latest' | 'next' | 'previous' | 'nothing' | { readonly to: string }

/** The code of PostgreSQL for a table that is not there: nothing was ever migrated. */
const undefinedTable = '42P01'

/** Any number the operator's processes agree on; PostgreSQL locks it for whoever migrates. */
const migrating = 7_263_104_552

/**
 * Brings the schema to the goal and returns the names of the migrations that ran. Several processes may call it at once:
 * one works, the others wait for it and then find nothing to do. Each migration is one transaction. Throws where a newer
 * version has migrated: what it changed is unknown here, so nothing may be done on top of it.
 */
export async function migrate(databaseUrl: string, goal: Goal = 'latest'): Promise<readonly string[]> {
  return await connected(databaseUrl, async (client) => {
    // Almost every start finds nothing to do, and needs no lock to see that.
    const missing = names.length - (await appliedNames(client)).length
    if (goal === 'latest' && missing === 0) return []
    await client.query('SELECT pg_advisory_lock($1)', [migrating])
    const applied = await appliedNames(client)
    if (goal === 'latest' && applied.length === names.length) return []
    if (typeof goal === 'string') return await run(databaseUrl, goal)
    const surplus = applied.length - 1 - applied.indexOf(goal.to)
    if (!applied.includes(goal.to)) throw new Error(`migration ${goal.to} is not applied: there is no way back to it`)
    const taken: string[] = []
    for (let i = 0; i < surplus; i++) taken.push(...(await run(databaseUrl, 'previous')))
    return taken
  })
}

/** Throws unless the schema is this version's; for an operator that does not migrate. Gives the names that it applied: none. */
export async function requireLatest(databaseUrl: string): Promise<readonly string[]> {
  const applied = await connected(databaseUrl, appliedNames)
  const missing = names.filter((name) => !applied.includes(name))
  if (missing.length === 0) return []
  const what = applied.length === 0 ? 'the database has no schema yet' : `the database lacks ${missing.join(', ')}`
  throw new Error(`${what}: run molecule-operator migrate, or set MIGRATE=true`)
}

async function connected<T>(databaseUrl: string, work: (client: Client) => Promise<T>): Promise<T> {
  const { client, close } = singleConnection({
    connectionString: databaseUrl,
    application_name: 'molecule-operator-migrate',
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
  })
  // A connection lost between two queries is reported here as well as by the next query.
  client.on('error', () => {})
  try {
    await client.connect()
    return await work(client)
  } finally {
    await close()
  }
}

/** In order; none where nothing was ever migrated. Throws where one is of a newer version. */
async function appliedNames(client: Client): Promise<readonly string[]> {
  try {
    const { rows } = await client.query<{ name: string }>('SELECT name FROM knex_migrations ORDER BY id')
    const unknown = rows.map(({ name }) => name).filter((name) => !isMigration(name))
    if (unknown.length === 0) return rows.map(({ name }) => name)
    throw new Error(
      `the database was migrated by a newer version, and ${unknown.join(', ')} is unknown here: run that version, or take its migrations back with it first, molecule-operator migrate --to ${latestMigration}`,
    )
  } catch (error) {
    if (error instanceof DatabaseError && error.code === undefinedTable) return []
    throw error
  }
}

async function run(databaseUrl: string, goal: Exclude<Goal, object>): Promise<readonly string[]> {
  const { default: knex } = await import('knex')
  const db = knex({ client: 'pg', connection: databaseUrl, pool: { min: 0, max: 2 } })
  const config = {
    migrationSource: {
      getMigrations: () => Promise.resolve([...names]),
      getMigrationName: (name: string) => name,
      getMigration: (name: string) => {
        const load = migrations[name]
        if (!load) throw new Error(`there is no migration ${name}`)
        return load()
      },
    },
  }
  try {
    // A process that died while migrating leaves knex's own lock set. While this process holds the advisory lock, no other migrates.
    await db.migrate.forceFreeMigrationsLock(config)
    const [, names] = (await step(db, config, goal)) as [number, readonly string[]]
    return names
  } finally {
    await db.destroy()
  }
}

function step(db: Knex, config: Knex.MigratorConfig, goal: Exclude<Goal, object>): Promise<unknown> {
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
