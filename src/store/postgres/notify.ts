/**
 * Hears NOTIFY on a connection of its own, and asks on the same connection now and then for what it may have missed:
 * after a reconnect, or behind a middleman that swallows notifications. A hint costs a look; a lost one costs at most
 * one period. At each look the connection is doubted, too: after a switch-over it may stand at the former primary for good,
 * open and silent. It must be at the server that the statements are at, and a notification of its own must come back.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client, QueryResultRow } from 'pg'
import { reasonOf } from '../../errors.ts'
import { News, type Logger } from '../../telemetry/log.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import { sessionOf, type Database } from './pool.ts'
import { channel } from './signal.ts'
import { singleConnection, type SingleConnection } from './single-connection.ts'

export interface Changed {
  readonly namespace: string
  readonly resourceName: string
}

export interface Listener {
  /**
   * What is signalled from now on. The same key twice is told once while nobody has taken it. Ends on abort. `onMove` is
   * called when the address leads to another server, or to one that was started anew: any row may be another than before.
   */
  changes(signal: AbortSignal, onMove?: () => void): AsyncIterable<Changed>
}

export interface ListenerOptions {
  readonly databaseUrl: () => string
  /** Of the statements. */
  readonly database: Database
  readonly metrics: Metrics
  readonly log: Logger
  /** Milliseconds between two looks at what was signalled. */
  readonly pollEvery?: number
}

/** Transactions that began before the last look may commit after it: the next one looks this far behind it. */
const overlap = '10 seconds'
const reconnectWaits = [100, 500, 1000, 2000, 5000]

export function createListener(options: ListenerOptions): Listener {
  return {
    async *changes(signal, onMove = () => {}) {
      const inbox = createInbox()
      const work = listen(options, inbox, signal, onMove)
      try {
        while (!signal.aborted) {
          for (const key of inbox.take()) yield parse(key)
          await inbox.filled(signal)
        }
      } finally {
        inbox.close()
        await work
      }
    },
  }
}

function parse(key: string): Changed {
  const slash = key.indexOf('/')
  return { namespace: key.slice(0, slash), resourceName: key.slice(slash + 1) }
}

interface Inbox {
  put(key: string): void
  take(): readonly string[]
  /** Resolves when something is there, on abort, or when the inbox was closed. */
  filled(signal: AbortSignal): Promise<void>
  close(): void
  readonly closed: AbortSignal
}

function createInbox(): Inbox {
  let keys = new Set<string>()
  let wake = () => {}
  const closing = new AbortController()
  return {
    closed: closing.signal,
    put(key) {
      keys.add(key)
      wake()
    },
    take() {
      const taken = [...keys]
      keys = new Set()
      return taken
    },
    async filled(signal) {
      if (keys.size > 0 || signal.aborted) return
      const { promise, resolve } = Promise.withResolvers<void>()
      wake = resolve
      signal.addEventListener('abort', wake, { once: true })
      await promise
      signal.removeEventListener('abort', wake)
    },
    close: () => closing.abort(),
  }
}

/** Keeps a connection that listens until the end; never throws. */
async function listen(options: ListenerOptions, inbox: Inbox, signal: AbortSignal, onMove: () => void): Promise<void> {
  const { databaseUrl, database, metrics, log } = options
  const end = AbortSignal.any([signal, inbox.closed])
  const seen: Seen = { upTo: undefined, server: undefined, heard: new Set(), heardBefore: new Set() }
  const news = new News()
  let failures = 0
  const attended = (server: string) => {
    failures = 0
    news.end()
    metrics.databaseListening.set(1)
    if (seen.server !== undefined && seen.server !== server) {
      log.warn('the address of the database leads to another server, or to one that was started anew')
      // Its clock is another one.
      seen.upTo = undefined
      onMove()
    }
    seen.server = server
  }
  for (; !end.aborted; failures++) {
    const { client, close } = open(databaseUrl(), 'molecule-operator-listen')
    try {
      await attend(client, options, inbox, seen, end, attended)
    } catch (error) {
      if (end.aborted) break
      metrics.databaseListening.set(0)
      const cause = reasonOf(error)
      if (news.is(cause)) log.warn({ cause, failures }, 'connection that listens was lost')
      // What came while nobody listened is found by the look after the reconnect; statements may be at the wrong place, too.
      seen.heard.clear()
      seen.heardBefore.clear()
      database.renew()
      await pause(reconnectWaits[Math.min(failures, reconnectWaits.length - 1)] ?? 5000, end)
    } finally {
      await close()
    }
  }
}

const open = (databaseUrl: string, name: string): SingleConnection =>
  singleConnection({ ...sessionOf(databaseUrl, name), statement_timeout: 5000 })

/** How far the looks have come, by the database's clock, and what notifications said lately. */
interface Seen {
  upTo: string | undefined
  server: string | undefined
  heard: Set<string>
  heardBefore: Set<string>
}

async function attend(
  client: Client,
  { databaseUrl, pollEvery = 30_000 }: ListenerOptions,
  inbox: Inbox,
  seen: Seen,
  end: AbortSignal,
  attended: (server: string) => void,
): Promise<void> {
  const lost = Promise.withResolvers<never>()
  lost.promise.catch(() => {})
  client.on('error', lost.reject)
  client.on('end', () => lost.reject(new Error('the connection ended')))
  client.on('notification', ({ channel: where, payload }) => {
    if (where !== channel || payload === undefined) return
    seen.heard.add(payload)
    inbox.put(payload)
  })
  await client.connect()
  await client.query(`LISTEN ${channel}`)
  await client.query(`LISTEN ${echo}`)
  const server = await serverOf(client)
  for (let looks = 0; !end.aborted; looks++) {
    // What has just been connected is where the address leads.
    if (looks > 0) await confirm(databaseUrl, server)
    await hearEcho(client)
    attended(server)
    await look(client, inbox, seen)
    const turn = new AbortController()
    await Promise.race([lost.promise, pause(pollEvery, AbortSignal.any([end, turn.signal]))]).finally(() =>
      turn.abort(),
    )
  }
}

/** What a connection sends to itself. */
const echo = `${channel}_echo`
const echoWithin = 2000

interface Server extends QueryResultRow {
  standby: boolean
  server: string
}
/**
 * One run of one server, by the microsecond at which it started: any role may ask, also where a provider keeps the system
 * identifier to itself, and every copy that was restored, and every standby that was promoted, is a run of its own. Not by
 * the address that answers: one server may have several, and a proxy chooses among them.
 */
const identity = `
  SELECT pg_is_in_recovery() AS standby, date_part('epoch', pg_postmaster_start_time())::text AS server`

/** Which server the connection is at. Throws at one where nothing is notified. */
async function serverOf(client: Client): Promise<string> {
  const [found] = (await client.query<Server>(identity)).rows
  if (found === undefined || found.standby) throw new Error('its server is a standby, where nothing is notified')
  return found.server
}

/** Throws when the address leads to another server by now. One that cannot be reached at the moment proves nothing. */
async function confirm(databaseUrl: () => string, server: string): Promise<void> {
  const { client, close } = open(databaseUrl(), 'molecule-operator-probe')
  client.on('error', () => {})
  let now: string | undefined
  try {
    await client.connect()
    now = await serverOf(client)
  } catch {
    return
  } finally {
    await close()
  }
  if (now !== server) throw new Error('its address leads to another server by now')
}

async function hearEcho(client: Client): Promise<void> {
  const back = new AbortController()
  const hear = ({ channel: where }: { channel: string }) => where === echo && back.abort()
  client.on('notification', hear)
  try {
    await client.query(`NOTIFY ${echo}`)
    await pause(echoWithin, back.signal)
    if (!back.signal.aborted)
      throw new Error('a notification of its own does not come back: is there a pooler between?')
  } finally {
    client.off('notification', hear)
  }
}

/** Puts what was signalled since the last look and was not heard of. The first look only sets the clock. */
async function look(client: Client, inbox: Inbox, seen: Seen): Promise<void> {
  const { rows } = await client.query<{ key: string | null; now: string }>(
    `SELECT now()::text AS now, w.key FROM (SELECT 1) AS one LEFT JOIN (
       SELECT namespace || '/' || resource_name AS key FROM workspaces
       WHERE signalled_at > $1::timestamptz - interval '${overlap}'
     ) w ON true`,
    [seen.upTo ?? 'infinity'],
  )
  for (const { key } of rows)
    if (key !== null && !seen.heard.has(key) && !seen.heardBefore.has(key)) {
      seen.heard.add(key)
      inbox.put(key)
    }
  seen.upTo = rows[0]?.now ?? seen.upTo
  seen.heardBefore = seen.heard
  seen.heard = new Set()
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal, ref: false }).catch(() => {})
}
