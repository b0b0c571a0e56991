import { afterAll, beforeAll, expect, test } from 'vitest'
import { RetryAfter } from '../../src/errors.ts'
import { troubles } from '../../src/store/postgres/faults.ts'
import { migrate } from '../../src/store/postgres/migrate.ts'
import type { Store } from '../../src/store/postgres/open.ts'
import { ownPostgres } from '../support/database.ts'
import { until } from '../support/until.ts'
import { beatOf, fenceOf, given as givenStore, intent, keyOf, launchOf, lease } from './given.ts'

const postgres = await ownPostgres()
const unhandled: unknown[] = []
const note = (error: unknown) => unhandled.push(error)
process.on('unhandledRejection', note)
process.on('uncaughtException', note)
await migrate(postgres.url)
const server = postgres.server
if (!server) throw new Error('a server of our own was asked for')

const given = (options: Parameters<typeof givenStore>[1] = {}) => givenStore(postgres.url, { hasty: true, ...options })

let store: Store
let fence: ReturnType<typeof fenceOf>
beforeAll(async () => {
  store = given({ pollEvery: 1000 }).store
  fence = fenceOf(await store.leaders.begin(lease, 'test'))
})
afterAll(async () => {
  await postgres.stop()
  process.off('unhandledRejection', note)
  process.off('uncaughtException', note)
  expect(unhandled).toEqual([])
})

/** Asks again as a queue would, while told to come back. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  return until(async () => ({ value: await call() }), { within: 60_000, what: 'an answer' }).then(({ value }) => value)
}

test('PostgreSQL restarted in the middle of a burst: every write arrives once', async () => {
  const before = given()
  const all = Array.from({ length: 2000 }, () => intent())
  const results = all.map((one) => patiently(() => store.workspaces.record(one, fence)))
  await until(async () => (await before.sql('SELECT 1 FROM workspaces LIMIT 1')).length > 0, { every: 5 })
  await postgres.restart()
  const kinds = new Set((await Promise.all(results)).map((result) => result.kind))
  expect(kinds).toEqual(new Set(['recorded']))
  const { sql } = given()
  const ids = all.map((one) => one.id)
  expect(await sql('SELECT count(*)::int AS n FROM workspaces WHERE id = ANY ($1)', ids)).toEqual([{ n: 2000 }])
  expect(await sql('SELECT count(*)::int AS n FROM structure_events WHERE workspace_id = ANY ($1)', ids)).toEqual([
    { n: 2000 },
  ])
}, 180_000)

test('what was signalled while nobody could listen is found after the reconnect', async () => {
  const asked = intent()
  await store.workspaces.record(asked, fence)
  const abort = new AbortController()
  const heard = new Set<string>()
  const listening = (async () => {
    for await (const { resourceName } of store.workspaces.changes(abort.signal)) heard.add(resourceName)
  })()
  const { sql } = given()
  const listener = `SELECT pid FROM pg_stat_activity WHERE application_name = 'molecule-operator-listen'`
  await until(async () => {
    await sql(`UPDATE workspaces SET status = 'offline' WHERE id = $1`, asked.id)
    await store.agents.heartbeat(beatOf(asked.id))
    return heard.has(asked.resourceName)
  })
  const missed = intent()
  await store.workspaces.record(missed, fence)
  // The change comes in the very transaction that ends the connection: no notification can reach it.
  await sql(`SELECT pg_terminate_backend(pid) FROM (${listener}) l`)
  await store.agents.heartbeat(beatOf(missed.id))
  await until(() => heard.has(missed.resourceName), { within: 20_000 })
  // And a change without any NOTIFY, as behind a middleman that swallows them.
  const silent = intent()
  await store.workspaces.record(silent, fence)
  await sql(`UPDATE workspaces SET signalled_at = now() WHERE id = $1`, silent.id)
  await until(() => heard.has(silent.resourceName), { within: 20_000 })
  abort.abort()
  await listening
}, 120_000)

test('a row that somebody else has locked delays the others by a few of its waits, itself until it is told to wait', async () => {
  const all = Array.from({ length: 200 }, () => intent())
  await Promise.all(all.map((one) => store.workspaces.record(one, fence)))
  const { sql } = given()
  await sql('BEGIN')
  await sql('SELECT 1 FROM workspaces WHERE id = $1 FOR UPDATE', all[50]?.id)
  const began = performance.now()
  let slowest = 0
  const settled = await Promise.allSettled(
    all.map(async (one) => {
      const row = await store.workspaces.launch(launchOf(one), fence)
      slowest = Math.max(slowest, performance.now() - began)
      return row
    }),
  )
  await sql('ROLLBACK')
  expect(settled.filter((one) => one.status === 'fulfilled')).toHaveLength(199)
  expect(settled[50]).toMatchObject({ status: 'rejected', reason: expect.any(RetryAfter) as unknown })
  // A lock is waited for for a second. By halves, the others would have to wait for that eight times.
  expect(slowest).toBeLessThan(7000)
})

test.each([
  ['a look', 'leaders'],
  ['a write', 'structure_events'],
])('%s at %s that fails leaves no row behind: an error writes nothing', async (_, table) => {
  const { sql } = given()
  const asked = intent()
  await sql('BEGIN')
  try {
    await sql(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`)
    await expect(store.workspaces.record(asked, fence)).rejects.toThrow(RetryAfter)
    expect(await sql('SELECT id FROM workspaces WHERE id = $1', asked.id)).toEqual([])
  } finally {
    await sql('ROLLBACK')
  }
  expect((await patiently(() => store.workspaces.record(asked, fence))).kind).toBe('recorded')
})

test('a statement without end is ended on the server, and delays the others alone', async () => {
  const { sql } = given()
  const endless = intent({ displayName: 'endless' })
  const asleep = `FROM pg_stat_activity WHERE wait_event = 'PgSleep'`
  await sql(
    `CREATE FUNCTION sleep_on() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3600); RETURN NEW; END'`,
  )
  await sql(
    `CREATE TRIGGER endless BEFORE INSERT ON workspaces FOR EACH ROW WHEN (NEW.name = 'endless')
     EXECUTE FUNCTION sleep_on()`,
  )
  try {
    const beside = patiently(() => store.workspaces.record(intent(), fence))
    await expect(store.workspaces.record(endless, fence)).rejects.toThrow(RetryAfter)
    expect((await beside).kind).toBe('recorded')
    await until(async () => (await sql(`SELECT pid ${asleep}`)).length === 0, { what: 'the end on the server' })
  } finally {
    await sql(`SELECT pg_terminate_backend(pid) ${asleep}`)
    await sql('DROP FUNCTION sleep_on CASCADE')
  }
})

test('a pool that is full of slow statements is told as busy, and not as a server that is away', async () => {
  const { store, metrics, sql } = given({ connections: 1 })
  const ended = new AbortController()
  const watching = store.watch(ended.signal)
  await patiently(() => store.agents.countByPhase())
  const counted = async (cause: string) =>
    (await metrics.dependencyErrors.get()).values.find(({ labels }) => labels.cause === cause)?.value
  await sql(
    `CREATE FUNCTION sleep_on() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3600); RETURN NEW; END'`,
  )
  await sql('CREATE TRIGGER slow BEFORE INSERT ON workspaces FOR EACH ROW EXECUTE FUNCTION sleep_on()')
  try {
    const slow = store.workspaces.record(intent(), fence)
    slow.catch(() => {})
    await until(async () => (await sql(`SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'`)).length > 0)
    await expect(store.agents.countByPhase()).rejects.toMatchObject({
      name: 'Unavailable',
      reason: 'DatabaseBusy',
      message: troubles.pool,
    })
    expect([await counted('pool'), await counted('unreachable')]).toEqual([1, 0])
    expect(store.dependency.trouble).toBeUndefined()
    await expect(slow).rejects.toMatchObject({ reason: 'DatabaseBusy', message: troubles.busy })
  } finally {
    await sql('DROP FUNCTION sleep_on CASCADE')
    ended.abort()
    await watching
  }
})

test('writers of the same rows in opposite orders do not deadlock', async () => {
  const all = Array.from({ length: 400 }, () => intent())
  await Promise.all(all.map((one) => store.workspaces.record(one, fence)))
  const other = given().store
  const rounds = Array.from({ length: 5 }, async () => {
    await Promise.all([
      ...all.map(({ id }) => patiently(() => store.agents.heartbeat(beatOf(id)))),
      ...all.toReversed().map(({ id }) => patiently(() => other.agents.heartbeat(beatOf(id, { activeTasks: 1 })))),
      ...all.map((each) =>
        patiently(() =>
          other.workspaces.observed({ ...keyOf(each), instanceId: 'x', url: undefined, imageDigest: undefined }, fence),
        ),
      ),
    ])
  })
  await Promise.all(rounds)
  const [row] = await given().sql('SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()')
  expect(row).toEqual({ deadlocks: 0 })
}, 180_000)

test('a server that is gone is told as a wait, within bounds, and close() does not hang on it', async () => {
  const { store } = given()
  await patiently(() => store.agents.countByPhase())
  await postgres.server?.stop()
  const began = performance.now()
  await expect(store.workspaces.record(intent(), fence)).rejects.toThrow(RetryAfter)
  await expect(store.agents.countByPhase()).rejects.toThrow(RetryAfter)
  expect(performance.now() - began).toBeLessThan(20_000)
  await postgres.server?.start()
  expect((await patiently(() => store.workspaces.record(intent(), fence))).kind).toBe('recorded')
}, 180_000)

test('a server that answers nothing is told as a wait within bounds, and is used again when it answers', async () => {
  const { store, sql } = given()
  await patiently(() => store.agents.countByPhase())
  const rows = await sql(`SELECT pid FROM pg_stat_activity WHERE application_name = 'molecule-operator'`)
  const sessions = rows.map((row) => Number(row['pid']))
  /** A session that has ended meanwhile answers nothing either. */
  const each = (signal: NodeJS.Signals) => {
    for (const pid of sessions)
      try {
        process.kill(pid, signal)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
  }
  await server.pause()
  try {
    each('SIGSTOP')
    const began = performance.now()
    await expect(store.workspaces.record(intent(), fence)).rejects.toThrow(RetryAfter)
    expect(performance.now() - began).toBeLessThan(20_000)
  } finally {
    each('SIGCONT')
    server.resume()
  }
  expect((await patiently(() => store.workspaces.record(intent(), fence))).kind).toBe('recorded')
}, 180_000)

test('close() writes what waits, and refuses what comes later', async () => {
  const { store, sql } = given()
  // So that it has a connection: closing, it does not try for one again.
  await patiently(() => store.agents.countByPhase())
  const all = Array.from({ length: 500 }, () => intent())
  const results = all.map((one) => store.workspaces.record(one, fence))
  await store.close()
  for (const result of await Promise.all(results)) expect(result.kind).toBe('recorded')
  await expect(store.workspaces.record(intent(), fence)).rejects.toThrow(/closed/)
  const ids = all.map((one) => one.id)
  expect(await sql('SELECT count(*)::int AS n FROM workspaces WHERE id = ANY ($1)', ids)).toEqual([{ n: 500 }])
})
