/** The connections, and what every query of this room has in common: bounded waits and errors put in classes. */
import { Client, DatabaseError, Pool, type PoolClient, type QueryResultRow } from 'pg'
import type { Metrics } from '../../telemetry/metrics.ts'
import { faultOf, NotConnected, PoolOccupied, troubleOf, type Trouble } from './faults.ts'

export interface PoolOptions {
  /** By which a connection is made now. */
  readonly databaseUrl: () => string
  readonly metrics: Metrics
  /** Connections at most, without the one that listens. */
  readonly connections?: number
  /** Why none can be had now, where that is known: then only connections that stand are used. */
  readonly refusal?: () => NotConnected | undefined
  /** Told of each statement that failed for a reason that is the database's. */
  readonly onTrouble?: (trouble: Trouble, error: unknown) => void
}

/** Statements over one small pool. */
export interface Database {
  /**
   * Runs one statement. `guard` is called when the connection is at hand, right before the statement leaves: whatever
   * it throws, nothing is sent. A connection that failed is thrown away, one that refused a statement is kept.
   */
  query<Row extends QueryResultRow>(
    name: string,
    text: string,
    values: readonly unknown[],
    guard?: () => void,
  ): Promise<readonly Row[]>
  /** The address may lead elsewhere by now: connections of before are used for nothing that has not begun yet. */
  renew(): void
  close(): Promise<void>
}

/** No statement of ours should take a hundredth of this; what does is stuck behind something and is better tried again. */
const statementTimeout = 4000
/** Shorter, so that a row that somebody else holds is told apart from a slow server. */
const lockTimeout = 1000
const connectionTimeout = 3000
/** For a server that vanished without a word, where its own timeout cannot reach us. */
const answerTimeout = statementTimeout + 1000
/** What the pool says when no connection became free in time; of one that it could not make it has other words. */
const waitedInLine = 'timeout exceeded when trying to connect'

export function sessionOf(databaseUrl: string, applicationName: string) {
  return {
    connectionString: databaseUrl,
    application_name: applicationName,
    connectionTimeoutMillis: connectionTimeout,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    statement_timeout: statementTimeout,
    lock_timeout: lockTimeout,
    idle_in_transaction_session_timeout: statementTimeout,
    // The hot tables live in memory: 200 look-ups by key must look cheaper than reading 10,000 rows, as they are.
    // And one plan serves every size of batch: planning anew for each would cost more than it could gain.
    options: '-c random_page_cost=0.5 -c plan_cache_mode=force_generic_plan',
    query_timeout: answerTimeout,
  }
}

export function openPool({ databaseUrl, metrics, connections = 6, refusal, onTrouble }: PoolOptions): Database {
  const pool = new Pool({
    // The pool keeps the options that it is made with; the URL may be another one by the next connection.
    Client: class extends Client {
      constructor() {
        super(sessionOf(databaseUrl(), 'molecule-operator'))
      }
    },
    connectionTimeoutMillis: connectionTimeout,
    max: connections,
    idleTimeoutMillis: 60_000,
  })
  // A connection that breaks also tells so by events, which would end the process. The query that meets it says enough.
  pool.on('error', () => {})
  /** How often it was renewed, and what that number was when a connection was opened. */
  let renewals = 0
  const openedAt = new WeakMap<PoolClient, number>()
  /**
   * When the server last answered, by the monotonic clock. While it lives, a pool of statements that are under way has an
   * answer within the time that the server gives a statement.
   */
  let answeredAt = Number.NEGATIVE_INFINITY
  const answers = () => performance.now() - answeredAt < answerTimeout
  pool.on('connect', (client) => {
    answeredAt = performance.now()
    client.on('error', () => {})
    openedAt.set(client, renewals)
  })
  const isOld = (client: PoolClient) => openedAt.get(client) !== renewals

  async function connect(): Promise<PoolClient> {
    const refused = pool.idleCount === 0 ? refusal?.() : undefined
    if (refused) throw refused
    try {
      // Old ones are thrown away until there is one that is not.
      for (;;) {
        const client = await pool.connect()
        if (!isOld(client)) return client
        client.release(true)
      }
    } catch (error) {
      if (pool.ending) throw error
      const isOccupied = error instanceof Error && error.message === waitedInLine && answers()
      throw told(isOccupied ? new PoolOccupied(error) : new NotConnected(error))
    }
  }

  function told(error: unknown): unknown {
    const trouble = troubleOf(error)
    if (trouble !== undefined) onTrouble?.(trouble, error)
    return error
  }

  return {
    async query<Row extends QueryResultRow>(
      name: string,
      text: string,
      values: readonly unknown[],
      guard?: () => void,
    ) {
      const client = await connect()
      let broken = false
      try {
        guard?.()
        metrics.sqlStatements.inc({ name })
        // Named: parsed and planned once a connection. These statements take longer to plan than to run.
        const { rows } = await client.query<Row>({ name, text, values: [...values] })
        answeredAt = performance.now()
        return rows
      } catch (error) {
        if (error instanceof DatabaseError) answeredAt = performance.now()
        broken = faultOf(error) === 'connection'
        throw told(error)
      } finally {
        client.release(broken || isOld(client))
      }
    },
    renew: () => void renewals++,
    close: async () => {
      if (!pool.ending) await pool.end()
    },
  }
}
