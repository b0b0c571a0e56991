/**
 * Looks whether the database can be worked with, by a connection of its own each time: an old connection does not notice
 * that a password, a name or a certificate has changed, and a standby answers whatever only reads. A look every ten
 * seconds, at once when a statement met something of the kind, and every two seconds until it is over.
 *
 *   statement fails ──► notice ──► look ──► fails: `/readyz`, metric, one log line;  works: all of it back
 *
 * Disk and memory are what a look cannot see, since it writes nothing, and of the tables and the rights to them it sees one:
 * what a statement says of them holds for a while, and each that fails renews it.
 */
import { Client } from 'pg'
import { seconds } from '../../duration.ts'
import type { Dependency } from '../../telemetry/dependency.ts'
import type { Address } from './address.ts'
import { NotConnected, troubleOf, type Trouble } from './faults.ts'
import { sessionOf } from './pool.ts'

export interface Watchdog {
  /** A statement met this. Never throws and never waits. */
  notice(trouble: Trouble, error: unknown): void
  /**
   * Why the last look got no connection; undefined when it got one. Meanwhile no statement tries for one of its own: ten
   * thousand objects that wait would knock at a server that lets no one in, and wait for each other to be refused.
   */
  readonly refusal: NotConnected | undefined
  /** Looks until the signal aborts. */
  run(signal: AbortSignal): Promise<void>
}

export interface WatchdogOptions {
  readonly address: Address
  readonly dependency: Dependency<Trouble>
  readonly times?: Partial<LookTimes>
}

export type LookTimes = typeof times

const times = {
  /** Between two looks while all is well, and while it is not. */
  calm: seconds(10),
  troubled: seconds(2),
  /** Between two looks at least, whatever is noticed. */
  least: seconds(0.5),
  /** How long a statement's word counts against looks that find nothing. */
  hold: seconds(15),
  /** For a connection, and for the statement on it. */
  answer: seconds(3),
}

/** Of these no look can tell that they are over. */
const unseen: ReadonlySet<Trouble> = new Set(['resources', 'schema'])
/** Of these one statement says nothing about the next. */
const single: ReadonlySet<Trouble> = new Set(['busy', 'pool', 'other'])

/** Writable, and with a table of the operator that it may read. */
const look = `
  SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS "readOnly",
         EXISTS (SELECT FROM leaders) AS led`

export function createWatchdog({ address, dependency, times: given }: WatchdogOptions): Watchdog {
  const { calm, troubled, least, hold, answer } = { ...times, ...given }
  let wake = () => {}
  let noticed = false
  let heldUntil = Number.NEGATIVE_INFINITY
  let refusal: NotConnected | undefined

  /** Whether the server takes no writes. */
  async function ask(databaseUrl: string): Promise<boolean> {
    const session = { ...sessionOf(databaseUrl, 'molecule-operator-look'), connectionTimeoutMillis: answer }
    const client = new Client({ ...session, query_timeout: answer })
    // A connection that breaks also tells so by events, which would end the process.
    client.on('error', () => {})
    try {
      await client.connect().catch((error: unknown) => {
        throw new NotConnected(error)
      })
      const { rows } = await client.query<{ readOnly: boolean }>(look)
      return rows[0]?.readOnly === true
    } finally {
      // Not waited for: a server that says nothing says nothing to a farewell either.
      client.end().catch(() => {})
    }
  }

  async function askByProposed(): Promise<void> {
    const proposed = address.proposed()
    if (proposed === undefined) return
    try {
      if (await ask(proposed)) throw new Error('its server takes no writes')
    } catch (error) {
      return address.refused(error)
    }
    address.take(proposed)
  }

  async function attempt(): Promise<void> {
    try {
      await askByProposed()
      const readOnly = await ask(address.url)
      refusal = undefined
      if (readOnly) failed('read_only', 'the server takes no writes')
      else if (performance.now() >= heldUntil) dependency.works()
    } catch (error) {
      refusal = error instanceof NotConnected ? error : undefined
      failed(troubleOf(error) ?? 'other', error)
    }
  }

  function failed(trouble: Trouble, cause: unknown): void {
    dependency.count(trouble)
    dependency.fails(trouble, cause)
  }

  return {
    get refusal() {
      return refusal
    },
    notice(trouble, error) {
      if (single.has(trouble)) return
      if (unseen.has(trouble)) {
        heldUntil = performance.now() + hold
        dependency.fails(trouble, error)
      }
      noticed = true
      wake()
    },
    async run(signal) {
      while (!signal.aborted) {
        noticed = false
        await attempt()
        await until(signal, least, () => false)
        await until(
          signal,
          dependency.trouble === undefined ? calm : troubled,
          () => noticed && dependency.trouble === undefined,
        )
      }
    },
  }

  /** Waits, until something is noticed where that matters. */
  function until(signal: AbortSignal, span: number, over: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, span)
      timer.unref()
      function done() {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        wake = () => {}
        resolve()
      }
      wake = () => void (over() && done())
      signal.addEventListener('abort', done, { once: true })
      if (signal.aborted || over()) done()
    })
  }
}
