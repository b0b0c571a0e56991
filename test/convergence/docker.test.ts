/** A shorter walk on a real engine, where two instances of one workspace could really be. */
import { randomBytes } from 'node:crypto'
import Dockerode from 'dockerode'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { DockerBackend } from '../../src/backends/docker/backend.ts'
import { buildAgentImage } from '../../src/dev/agent-image.ts'
import { freePort } from '../../src/dev/server-process.ts'
import { controlPlane, namespace } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { dockerAvailable } from '../support/docker.ts'
import { until } from '../support/until.ts'
import { removeRuntimes, runtime } from '../support/workspaces.ts'
import { Player } from './play.ts'
import { seedOf } from './seed.ts'
import { dockerTarget } from './target.ts'
import { walks } from './walk.ts'

const cluster = controlPlane()
const ns = await namespace(cluster)
const docker = new Dockerode()
const operatorInstance = `walk-${randomBytes(4).toString('hex')}`
const backend = new DockerBackend({ operatorInstance })
const target = dockerTarget(docker, backend, operatorInstance)
const available = await dockerAvailable()
const port = String(await freePort())
const player = Player.open({
  namespace: ns,
  databaseUrl: await database(),
  runtime: operatorInstance,
  target,
  backendName: 'docker',
  env: {
    BACKENDS: 'docker',
    DEFAULT_BACKEND: 'docker',
    PLATFORM_HOST: '0.0.0.0',
    PLATFORM_PORT: port,
    PLATFORM_URL: `http://host.docker.internal:${port}`,
  },
  quiet: 2_000,
  within: 120_000,
})
const seed = seedOf(191)
const numRuns = Number(process.env['CONVERGENCE_DOCKER_RUNS'] ?? 1)

describe.skipIf(!available)('on a Docker engine', () => {
  let image = ''
  beforeAll(async () => {
    image = await buildAgentImage({ docker, name: `molecule-${operatorInstance}` })
    await until(() => cluster.apply([runtime(operatorInstance, { image, bootDeadline: '1m' })]))
  })

  afterAll(async () => {
    await player.close()
    await target.close()
    await backend.removeNetworks(AbortSignal.timeout(60_000))
    await until(() => docker.getImage(image).remove(), { what: 'the image to be of use to nobody' })
    await removeRuntimes(cluster, operatorInstance)
  })

  test(`a walk from seed ${seed} comes to rest as it was asked to`, { timeout: numRuns * 480_000 }, async () => {
    console.info(`  convergence on Docker: CONVERGENCE_SEED=${seed}`)
    const property = fc.asyncProperty(walks(8, false), (steps) => player.play(steps))
    await fc.assert(property, { seed, numRuns, endOnFailure: true })
  })
})
