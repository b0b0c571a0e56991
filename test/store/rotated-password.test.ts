/** A password, or a whole role, that is replaced while the operator runs: the file that holds the URL is read again. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, expect, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { milliseconds } from '../../src/duration.ts'
import { troubles } from '../../src/store/postgres/faults.ts'
import { migrate } from '../../src/store/postgres/migrate.ts'
import { breakableDatabase } from '../support/broken-database.ts'
import { until } from '../support/until.ts'
import { fenceOf, given, intent, lease } from './given.ts'

const database = await breakableDatabase()
await migrate(database.url)
const dir = await mkdtemp(join(tmpdir(), 'molecule-url-'))
const path = join(dir, 'database-url')
const urlOf = (user: string, password: string) =>
  Object.assign(new URL(database.url), { username: user, password }).href
const write = (text: string) => writeFile(path, text)
await write(`${database.url}\n`)
const config = readConfig([], { DATABASE_URL_FILE: path })

const lines: Record<string, unknown>[] = []
const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
const { store, metrics } = given(config.DATABASE_URL, {
  hasty: true,
  readDatabaseUrl: config.databaseUrl,
  log,
  pollEvery: 200,
  lookTimes: { calm: milliseconds(200), troubled: milliseconds(100), least: milliseconds(50) },
})
const fence = fenceOf(await store.leaders.begin(lease, 'test'))
const stop = new AbortController()
const running = [
  store.watch(stop.signal),
  (async () => {
    for await (const _ of store.workspaces.changes(stop.signal));
  })(),
]
afterAll(async () => {
  stop.abort()
  await Promise.all(running)
  await store.close()
  await database.stop()
  await rm(dir, { recursive: true })
})

const said = (message: string) => lines.filter(({ msg }) => msg === message)
const recorded = async () => (await store.workspaces.record(intent(), fence)).kind
const listens = async () => (await metrics.databaseListening.get()).values[0]?.value === 1
const all = () =>
  until(async () => (await recorded()) === 'recorded' && store.dependency.trouble === undefined && (await listens()), {
    what: 'statements, the look and the connection that listens',
  })
const end = (user: string) =>
  database.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${user}'`)
/** Of the connections that statements are sent by. */
const users = async () => {
  const { rows } = await database.sql(
    `SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'molecule-operator'`,
  )
  return rows.map(({ usename }) => usename)
}

test('a password that is replaced in the database and in the file holds without a restart', async () => {
  await all()
  await database.sql(`ALTER ROLE operator PASSWORD 'rotated'`)
  await end('operator')
  await until(() => store.dependency.trouble === troubles.credentials)
  await expect(recorded()).rejects.toThrow(/refuses the operator's user or password/)
  // In the middle of being written: what was there before is tried, and that is told once.
  await write('postgres:')
  await until(() => said('new url of the database cannot be used: the one of before is').length === 1)
  expect(store.dependency.trouble).toBe(troubles.credentials)
  await write(urlOf('operator', 'rotated'))
  await all()
  expect(JSON.stringify(lines)).not.toMatch(/rotated|:right@/)
})

test('where the file has it first, the password of before serves until it is refused', async () => {
  lines.length = 0
  await write(urlOf('operator', 'next'))
  await until(() => said('new url of the database cannot be used: the one of before is').length === 1)
  await end('operator')
  await all()
  expect(said('dependency failed').map(({ reason }) => reason)).not.toContain('credentials')
  await database.sql(`ALTER ROLE operator PASSWORD 'next'`)
  await until(() => said('url of the database has changed: connections are made anew by it').length === 1)
  await end('operator')
  await all()
})

test('a file that goes away takes nothing with it', async () => {
  await rm(path)
  await end('operator')
  await all()
  await write(urlOf('operator', 'next'))
})

test('where the file names another user, nothing new is done as the one of before', async () => {
  await database.sql(`CREATE ROLE successor LOGIN PASSWORD 'new' IN ROLE operator`)
  await all()
  expect(await users()).toEqual(['operator'])
  await write(urlOf('successor', 'new'))
  await until(
    async () => {
      expect(await recorded()).toBe('recorded')
      expect(await users()).toEqual(['successor'])
      return true
    },
    { what: 'statements of the successor alone' },
  )
})
