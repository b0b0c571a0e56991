/** A PostgreSQL that a test can break in every way that it breaks in, and mend again: real errors of a real server. */
import { Client } from 'pg'
import type { Postgres } from '../../src/dev/postgres.ts'
import { freePort } from '../../src/dev/server-process.ts'
import type { Trouble } from '../../src/store/postgres/faults.ts'
import { ownPostgres } from './database.ts'
import { TcpProxy, type Line } from './tcp-proxy.ts'

export interface BreakableDatabase {
  /** As the operator's own role, through a line that can be cut. */
  readonly url: string
  readonly line: TcpProxy
  /** As the superuser, past the line and in the operator's database. */
  readonly sql: (text: string) => Promise<{ readonly rows: readonly Record<string, unknown>[] }>
  /** The server that the line leads to. */
  readonly postgres: () => Postgres
  /** Another server takes its place at the end of the line; the one before is gone. */
  readonly succeed: (next: Postgres) => Promise<void>
  stop(): Promise<void>
}

export interface DatabaseFault {
  readonly name: string
  /** What the operator makes of it. */
  readonly trouble: Trouble
  readonly begin: (database: BreakableDatabase) => Promise<unknown>
  readonly end: (database: BreakableDatabase) => Promise<unknown>
  /** What a look alone cannot find out: a statement of the operator has to meet it. */
  readonly unseen?: boolean
  /** Of the Workspace that is made meanwhile. */
  readonly spec?: object
}

/** A database `molecule` of a role `operator`, empty; in a folder that is not there yet, where one is given. */
export async function breakableDatabase(dir?: string): Promise<BreakableDatabase> {
  let postgres = await ownPostgres(dir)
  const admin = async (database: string, text: string) => {
    const client = new Client({ connectionString: postgres.urlOf(database) })
    // A server that goes down under it tells so by an event, too.
    client.on('error', () => {})
    await client.connect()
    try {
      return await client.query<Record<string, unknown>>(text)
    } finally {
      await client.end()
    }
  }
  await admin('postgres', `CREATE ROLE operator LOGIN PASSWORD 'right'`)
  await admin('postgres', 'CREATE DATABASE molecule OWNER operator')
  const url = new URL(postgres.urlOf('molecule'))
  const line = await TcpProxy.start(await freePort(), Number(url.port))
  Object.assign(url, { username: 'operator', password: 'right', port: String(line.port) })
  return {
    url: url.href,
    line,
    // Not of the database that may take no connections: what is asked there is named in full.
    sql: (text) => admin(/^(ALTER|SELECT pg_)/.test(text) ? 'postgres' : 'molecule', text),
    postgres: () => postgres,
    async succeed(next) {
      const before = postgres
      postgres = next
      await line.lead(Number(new URL(next.url).port))
      await before.stop()
    },
    async stop() {
      await line.stop()
      await postgres.stop()
    },
  }
}

/** Sessions end as well: one that stands goes on whatever changes. */
const ended = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'operator'`

const bySql = (name: string, trouble: Trouble, begin: string, end: string): DatabaseFault => ({
  name,
  trouble,
  async begin({ sql }) {
    await sql(begin)
    await sql(ended)
  },
  end: ({ sql }) => sql(end),
})
const byLine = (name: string, line: Line): DatabaseFault => ({
  name,
  trouble: 'unreachable',
  begin: (database) => database.line.set(line),
  end: (database) => database.line.set('pass'),
})

/** Every write of the operator's fails by this code. */
const everyWrite = (action: string) => `
  CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${action}; RETURN NEW; END $$;
  CREATE TRIGGER spoil BEFORE INSERT OR UPDATE ON workspaces FOR EACH STATEMENT EXECUTE FUNCTION spoil()`

export const databaseFaults: readonly DatabaseFault[] = [
  byLine('refused', 'refuse'),
  byLine('frozen', 'freeze'),
  byLine('another server answers', 'babble'),
  bySql(
    'wrong password after a rotation',
    'credentials',
    `ALTER ROLE operator PASSWORD 'rotated'`,
    `ALTER ROLE operator PASSWORD 'right'`,
  ),
  bySql('login taken away', 'credentials', 'ALTER ROLE operator NOLOGIN', 'ALTER ROLE operator LOGIN'),
  bySql(
    'not currently accepting connections',
    'closed',
    'ALTER DATABASE molecule ALLOW_CONNECTIONS false',
    'ALTER DATABASE molecule ALLOW_CONNECTIONS true',
  ),
  bySql(
    'read-only, as a standby',
    'read_only',
    'ALTER ROLE operator SET default_transaction_read_only = on',
    'ALTER ROLE operator RESET default_transaction_read_only',
  ),
  bySql(
    'too many connections',
    'connections',
    'ALTER ROLE operator CONNECTION LIMIT 0',
    'ALTER ROLE operator CONNECTION LIMIT -1',
  ),
  bySql(
    'rights taken away',
    'schema',
    'REVOKE ALL ON ALL TABLES IN SCHEMA public FROM operator',
    'GRANT ALL ON ALL TABLES IN SCHEMA public TO operator',
  ),
  {
    ...bySql(
      'rights to one table taken away',
      'schema',
      'REVOKE ALL ON workspaces FROM operator',
      'GRANT ALL ON workspaces TO operator',
    ),
    unseen: true,
  },
  {
    ...bySql(
      'disk full',
      'resources',
      everyWrite(`RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'`),
      'DROP FUNCTION spoil CASCADE',
    ),
    unseen: true,
  },
]

/** Met by one statement and not by the next: told to come again, and nothing is said of the database as a whole. */
export const statementFaults: readonly DatabaseFault[] = [
  bySql('statement cancelled', 'busy', everyWrite('PERFORM pg_sleep(3600)'), 'DROP FUNCTION spoil CASCADE'),
]
