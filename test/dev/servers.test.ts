import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { Client } from 'pg'
import { expect, test } from 'vitest'
import { ServerProcess } from '../../src/dev/server-process.ts'
import { ownPostgres } from '../support/database.ts'
import { until } from '../support/until.ts'

/** A process that nobody waited for is dead, too. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  const status = `/proc/${String(pid)}/status`
  return !existsSync(status) || !/^State:\s+Z/m.test(readFileSync(status, 'utf8'))
}

test('servers and their folders go with a starter that is killed', async () => {
  const dir = join(tmpdir(), `molecule-test-killed-${randomUUID()}`)
  const pid = await new Promise<number>((resolve) => {
    execFile(process.execPath, [join(import.meta.dirname, 'killed.ts'), dir], (_, out) => resolve(Number(out)))
  })
  expect(pid).toBeGreaterThan(0)
  await until(() => !isRunning(pid), { what: 'the server to end' })
  await until(() => !existsSync(dir), { what: 'the folder to go' })
})

test('a PostgreSQL of our own is copied from, paused, restarted and leaves nothing', async () => {
  const postgres = await ownPostgres()
  const query = async (url: string, sql: string, patience = 15_000) => {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: patience })
    client.on('error', () => {})
    try {
      await client.connect()
      return (await client.query(sql)).rows as unknown[]
    } finally {
      void client.end().catch(() => {})
    }
  }
  const template = await postgres.createDatabase('template')
  await query(template, 'CREATE TABLE t AS SELECT 7 AS n')
  expect(await query(await postgres.createDatabase('copy', 'template'), 'SELECT n FROM t')).toEqual([{ n: 7 }])
  await postgres.server?.pause()
  await expect(query(template, 'SELECT 1', 500)).rejects.toThrow()
  postgres.server?.resume()
  await postgres.restart()
  expect(await query(template, 'SELECT n FROM t')).toEqual([{ n: 7 }])
  await postgres.dropDatabase('copy')
  await expect(query(postgres.urlOf('copy'), 'SELECT 1')).rejects.toThrow('does not exist')
  const pid = postgres.server?.pid ?? 0
  await postgres.stop()
  expect(isRunning(pid)).toBe(false)
})

test('a server that ends while it starts says what it printed', async () => {
  const server = new ServerProcess({
    name: 'the server',
    command: 'sh',
    args: ['-c', 'echo no such flag >&2; exit 3'],
    dir: join(tmpdir(), randomUUID()),
    ready: () => Promise.resolve(false),
  })
  await expect(server.start()).rejects.toThrow('the server ended (exit code 3): no such flag')
  expect(server.running).toBe(false)
})
