/** How an engine is reached: by TLS where it is another machine's, and as the configuration says, whatever the environment. */
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { DockerBackend } from '../../src/backends/docker/backend.ts'
import { never, refOf } from '../contract/backend.contract.ts'
import { engineAnswers, host } from './engine.ts'

const operatorInstance = `host-${randomUUID()}`
const look = (backend: DockerBackend) => backend.observe(refOf(randomUUID()), never)

test.each(['tcp://192.0.2.1:2375', 'tcp://engine', 'http://127.0.0.1', 'docker.sock'])(
  '%s is refused without TLS',
  (name) => {
    expect(() => new DockerBackend({ host: name, operatorInstance })).toThrow(
      /the Docker host is (another machine|no Docker host)/,
    )
  },
)

describe.skipIf(!engineAnswers)('with an engine', () => {
  const dir = mkdtempSync(join(tmpdir(), 'molecule-tls-'))
  const file = (name: string) => join(dir, name)
  const pem = (name: string) => readFileSync(file(name), 'utf8')
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })

  beforeAll(() => {
    writeFileSync(file('ext'), 'subjectAltName=IP:127.0.0.1')
    const key = (name: string) => [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      `${name}.key`,
    ]
    for (const name of ['ca', 'foreign'])
      openssl('req', '-x509', ...key(name), '-subj', `/CN=${name}`, '-days', '2', '-out', `${name}.pem`)
    for (const name of ['server', 'client']) {
      openssl('req', ...key(name), '-subj', `/CN=${name}`, '-out', `${name}.csr`)
      openssl(
        'x509',
        '-req',
        '-in',
        `${name}.csr`,
        '-CA',
        'ca.pem',
        '-CAkey',
        'ca.key',
        '-CAcreateserial',
        '-days',
        '2',
        '-extfile',
        'ext',
        '-out',
        `${name}.pem`,
      )
    }
  })
  afterAll(() => rmSync(dir, { recursive: true, force: true }))

  /** Speaks TLS before the engine's own socket, to clients of our authority alone. */
  async function encrypted(): Promise<string> {
    const options = { ca: pem('ca.pem'), cert: pem('server.pem'), key: pem('server.key'), requestCert: true }
    const server = createServer(options, (client) => {
      const engine = connect(host.replace('unix://', ''))
      for (const [one, other] of [
        [client, engine],
        [engine, client],
      ] as const)
        one.on('error', () => other.destroy()).on('close', () => other.destroy())
      client.pipe(engine).pipe(client)
    })
    server.on('tlsClientError', () => {}).listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  test('an engine behind TLS answers a client that it knows, and is believed by its own authority alone', async () => {
    const at = await encrypted()
    const ours = { ca: pem('ca.pem'), cert: pem('client.pem'), key: pem('client.key') }
    expect(await look(new DockerBackend({ host: at, operatorInstance, tls: ours }))).toEqual({ state: 'absent' })
    const unknown = {
      state: 'unknown',
      cause: expect.stringMatching(/certificate|alert|socket|hang up|EPROTO|ECONNRESET/),
    }
    const mistrusting = { ...ours, ca: pem('foreign.pem') }
    expect(await look(new DockerBackend({ host: at, operatorInstance, tls: mistrusting }))).toMatchObject(unknown)
    const stranger = { ...ours, cert: pem('foreign.pem'), key: pem('foreign.key') }
    expect(await look(new DockerBackend({ host: at, operatorInstance, tls: stranger }))).toMatchObject(unknown)
    expect(await look(new DockerBackend({ host: at, operatorInstance }))).toMatchObject({ state: 'unknown' })
  })

  test('the environment of the client decides nothing', async () => {
    onTestFinished(() => void vi.unstubAllEnvs())
    vi.stubEnv('DOCKER_HOST', 'tcp://192.0.2.77:1')
    vi.stubEnv('DOCKER_TLS_VERIFY', '1')
    vi.stubEnv('DOCKER_CLIENT_TIMEOUT', '1')
    expect(await look(new DockerBackend({ host, operatorInstance }))).toEqual({ state: 'absent' })
    if (host === 'unix:///var/run/docker.sock')
      expect(await look(new DockerBackend({ operatorInstance }))).toEqual({ state: 'absent' })
  })
})
