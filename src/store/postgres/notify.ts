/**
 * Hears NOTIFY on a connection of its own, and asks on the same connection now and then for what it may have missed:
 * after a reconnect, or behind a middleman that swallows notifications. A hint costs a look; a lost one costs at most
 * one period.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { reasonOf } from '../../errors.ts'
import { News, type Logger } from '../../telemetry/log.ts'
import { sessionOf } from './pool.ts'
import { channel } from './signal.ts'

export interface Changed {
  readonly namespace: string
  readonly resourceName: string
}

export interface Listener {
  /** What is signalled from now on. The same key twice is told once while nobody has taken it. Ends on abort. */
  changes(signal: AbortSignal): AsyncIterable<Changed>
}

export interface ListenerOptions {
  readonly databaseUrl: string
  readonly log: Logger
  /** Milliseconds between two looks at what was signalled. */
  readonly pollEvery?: number
}

/** Transactions that began before the last look may commit after it: the next one looks this far behind it. */
const overlap = '10 seconds'
const reconnectWaits = [100, 500, 1000, 2000, 5000]

export function createListener({ databaseUrl, log, pollEvery = 30_000 }: ListenerOptions): Listener {
  return {
    async *changes(signal) {
      const inbox = createInbox()
      const work = listen(databaseUrl, pollEvery, log, inbox, signal)
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
async function listen(
  databaseUrl: string,
  pollEvery: number,
  log: Logger,
  inbox: Inbox,
  signal: AbortSignal,
): Promise<void> {
  const end = AbortSignal.any([signal, inbox.closed])
  const seen: Seen = { upTo: undefined, heard: new Set(), heardBefore: new Set() }
  const news = new News()
  const connected = () => {
    failures = 0
    news.end()
  }
  let failures = 0
  for (; !end.aborted; failures++) {
    const client = new Client({ ...sessionOf(databaseUrl, 'molecule-operator-listen'), statement_timeout: 5000 })
    try {
      await attend(client, pollEvery, inbox, seen, end, connected)
    } catch (error) {
      if (end.aborted) break
      const cause = reasonOf(error)
      if (news.is(cause)) log.warn({ cause, failures }, 'connection that listens was lost')
      // What came while nobody listened is found by the look after the reconnect.
      seen.heard.clear()
      seen.heardBefore.clear()
      await pause(reconnectWaits[Math.min(failures, reconnectWaits.length - 1)] ?? 5000, end)
    } finally {
      await client.end().catch(() => {})
    }
  }
}

/** How far the looks have come, by the database's clock, and what notifications said lately. */
interface Seen {
  upTo: string | undefined
  heard: Set<string>
  heardBefore: Set<string>
}

async function attend(
  client: Client,
  pollEvery: number,
  inbox: Inbox,
  seen: Seen,
  end: AbortSignal,
  connected: () => void,
): Promise<void> {
  const lost = Promise.withResolvers<never>()
  lost.promise.catch(() => {})
  client.on('error', lost.reject)
  client.on('end', () => lost.reject(new Error('the connection ended')))
  client.on('notification', ({ payload }) => {
    if (payload === undefined) return
    seen.heard.add(payload)
    inbox.put(payload)
  })
  await client.connect()
  await client.query(`LISTEN ${channel}`)
  while (!end.aborted) {
    await look(client, inbox, seen)
    connected()
    const turn = new AbortController()
    await Promise.race([lost.promise, pause(pollEvery, AbortSignal.any([end, turn.signal]))]).finally(() =>
      turn.abort(),
    )
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
