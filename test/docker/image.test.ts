/** The operator's image: built by the Dockerfile from a base of local files, and run as the Deployment runs it. */
import { execFile } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import Dockerode from 'dockerode'
import { Client } from 'pg'
import { GenericContainer, Wait, type StartedTestContainer } from 'testcontainers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { apiVersion } from '../../src/api/meta.ts'
import { installOperator } from '../../src/dev/install.ts'
import { ownControlPlane } from '../support/cluster.ts'
import { ownPostgres } from '../support/database.ts'
import { dockerAvailable } from '../support/docker.ts'
import { until } from '../support/until.ts'
import { localBase } from './local-base.ts'

const root = join(import.meta.dirname, '..', '..')
/** Its own, since another run may use the same engine. */
const image = `molecule-operator:test-${randomBytes(4).toString('hex')}`

// Its reaper is an image that would have to be pulled; what is started here is stopped here.
process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true'

/** As manifests/operator/deployment.yaml has it. The root's being read-only is what testcontainers has no word for. */
class Restricted extends GenericContainer {
  constructor() {
    super(image)
    this.hostConfig.ReadonlyRootfs = true
    this.withDroppedCapabilities('ALL').withSecurityOpt('no-new-privileges').withNetworkMode('host')
  }
}

describe.skipIf(!(await dockerAvailable()))('the image', () => {
  const docker = new Dockerode()
  const started = new AsyncDisposableStack()
  let folder = ''

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'molecule-image-'))
    // The classic builder is in every engine; only BuildKit has to be installed beside it.
    await promisify(execFile)(
      'docker',
      ['build', '--network=host', `--build-arg=BASE=${await localBase(docker)}`, `--tag=${image}`, '--quiet', root],
      { env: { ...process.env, DOCKER_BUILDKIT: '0' } },
    )
  }, 600_000)
  afterAll(async () => {
    await started.disposeAsync()
    await rm(folder, { recursive: true, force: true })
    await docker.getImage(image).remove({ force: true })
  })

  test('says its version', async () => {
    const { version } = z
      .object({ version: z.string() })
      .parse(JSON.parse(await readFile(join(root, 'package.json'), 'utf8')))
    expect(await printed(['node', 'dist/main.js', 'version'])).toBe(version)
  })

  test('is nobody in particular and holds no development package and no source', async () => {
    const script = `
      const { existsSync } = require('node:fs')
      const held = ['src', 'Dockerfile', 'node_modules/vitest', 'node_modules/typescript', 'node_modules/esbuild'].filter((path) => existsSync(path))
      console.log(process.getuid(), process.getgid(), held.length)`
    expect(await printed(['node', '-e', script])).toBe('65532 65532 0')
  })

  test('reconciles as its ServiceAccount, and stops when told', { timeout: 300_000 }, async () => {
    const kubeconfig = join(folder, 'kubeconfig')
    const cluster = started.use(await ownControlPlane())
    const { url: databaseUrl } = started.use(await ownPostgres())
    await installOperator(cluster)
    await cluster.identity('molecule-system', 'molecule-operator', kubeconfig)
    // The container's user is not this one.
    await chmod(folder, 0o755)
    await chmod(kubeconfig, 0o644)
    const health = await quietPort()
    const container = await new Restricted()
      .withBindMounts([{ source: kubeconfig, target: '/kubeconfig', mode: 'ro' }])
      .withEnvironment({
        KUBECONFIG: '/kubeconfig',
        DATABASE_URL: databaseUrl,
        HEALTH_PORT: String(health),
        PLATFORM_PORT: String(await quietPort()),
      })
      .withWaitStrategy(Wait.forLogMessage(/"msg"/))
      .start()
    try {
      await until(async () => (await fetch(`http://127.0.0.1:${health}/readyz`)).ok, { within: 60_000 })
      const runtime = {
        apiVersion,
        kind: 'Runtime',
        metadata: { name: 'some-runtime' },
        spec: { image: 'local/agent:1' },
      }
      const spec = { displayName: 'Somebody', runtime: 'some-runtime', backend: 'external' }
      const workspace = { apiVersion, kind: 'Workspace', metadata: { name: 'somebody', namespace: 'default' }, spec }
      // A kind is served a moment after it is Established.
      await until(() => cluster.apply([runtime, workspace]), { within: 60_000, what: 'the kinds to be served' })
      await until(async () => (await phase(databaseUrl)) === 'awaiting_agent', { within: 60_000, what: 'the row' })
      expect(await stopped(container)).toBe(0)
    } finally {
      await container.stop({ remove: true })
    }
  })

  /** One that nobody else is given by chance until the operator has it: the kernel gives from 32768 on. */
  async function quietPort(): Promise<number> {
    const port = randomInt(20_000, 30_000)
    const server = createServer().listen(port, '0.0.0.0')
    const free = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    server.close()
    return free ? port : quietPort()
  }

  async function printed(command: string[]): Promise<string> {
    const container = await new Restricted().withCommand(command).withWaitStrategy(Wait.forOneShotStartup()).start()
    try {
      let text = ''
      for await (const chunk of await container.logs()) text += String(chunk)
      return text.trim()
    } finally {
      await container.stop({ remove: true })
    }
  }

  async function phase(databaseUrl: string): Promise<string | undefined> {
    const client = new Client({ connectionString: databaseUrl })
    await client.connect()
    try {
      const { rows } = await client.query<{ status: string }>('SELECT status FROM workspaces')
      return rows[0]?.status
    } finally {
      await client.end()
    }
  }

  /** Its exit code after SIGTERM; 137 when it had to be killed. */
  async function stopped(container: StartedTestContainer): Promise<number | undefined> {
    const handle = docker.getContainer(container.getId())
    await handle.stop({ t: 60 })
    return (await handle.inspect()).State.ExitCode
  }
})
