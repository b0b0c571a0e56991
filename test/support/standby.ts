/** A standby of a running PostgreSQL: a server of its own that is fed by streaming, as replicas are. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { appendFile, chown, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { Postgres } from '../../src/dev/postgres.ts'
import { freePort, ServerProcess } from '../../src/dev/server-process.ts'

/** Has the same roles, passwords and databases. Of a server of this machine, whose user may replicate. */
export async function startStandby(primary: Postgres): Promise<Postgres> {
  const dir = join(tmpdir(), `molecule-test-standby-${randomBytes(4).toString('hex')}`)
  const client = new Client({ connectionString: primary.url })
  await client.connect()
  const ask = async (text: string) => String(Object.values((await client.query<object>(text)).rows[0] ?? {})[0])
  const data = await ask('SHOW data_directory')
  const command = join(await ask(`SELECT setting FROM pg_config WHERE name = 'BINDIR'`), 'postgres')
  // The copy of a server that goes on writing: the label says from where its log has to be played again.
  await client.query(`SELECT pg_backup_start('standby', true)`)
  await promisify(execFile)('cp', ['-a', data, dir])
  const label = await ask('SELECT labelfile FROM pg_backup_stop(false)')
  await client.end()
  const { uid, gid } = await stat(data)
  for (const stale of ['postmaster.pid', 'postmaster.opts']) await rm(join(dir, stale), { force: true })
  const { hostname, port, username, password } = new URL(primary.url)
  const source = `host=${hostname} port=${port} user=${username} password=${decodeURIComponent(password)}`
  await appendFile(join(dir, 'postgresql.auto.conf'), `primary_conninfo = '${source}'\n`)
  for (const [name, text] of [
    ['backup_label', label],
    ['standby.signal', ''],
  ] as const) {
    await writeFile(join(dir, name), text)
    await chown(join(dir, name), uid, gid)
  }
  const url = new URL(primary.url)
  url.port = String(await freePort())
  const settings = [
    `port=${url.port}`,
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'max_connections=200',
    'fsync=off',
  ]
  const server = new ServerProcess({
    name: 'the standby',
    command,
    dir,
    args: ['-D', dir, ...settings.flatMap((one) => ['-c', one])],
    stopSignal: 'SIGINT',
    ready: () => isStandby(url.href),
    ...(process.getuid?.() === 0 && { identity: { uid, gid } }),
  })
  await server.start()
  return new Postgres(url.href, server, dir)
}

async function isStandby(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2000 })
  client.on('error', () => {})
  try {
    await client.connect()
    const { rows } = await client.query<{ streams: boolean }>(
      'SELECT pg_is_in_recovery() AND EXISTS (SELECT FROM pg_stat_wal_receiver) AS streams',
    )
    return rows[0]?.streams === true
  } finally {
    await client.end().catch(() => {})
  }
}
