/** What a run of the sweep stands on: a control plane and a PostgreSQL of its own, and an engine where one answers. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Dockerode from 'dockerode'
import { buildAgentImage } from '../../src/dev/agent-image.ts'
import { findBinaries, startControlPlane, type Binaries, type ControlPlane } from '../../src/dev/control-plane.ts'
import { installOperator } from '../../src/dev/install.ts'
import { startPostgres, type Postgres } from '../../src/dev/postgres.ts'
import { until } from '../support/until.ts'
import { DockerInstances } from './docker-instances.ts'
import type { Instances } from './instances.ts'
import { ProcessInstances } from './process-instances.ts'
import { World, type Place } from './world.ts'

export interface Engine {
  readonly docker: Dockerode
  readonly host: string
  readonly image: string
}

export type MakeInstances = (namespace: string) => Promise<Instances> | Instances

export const freshName = (): string => `faults_${randomBytes(4).toString('hex')}`

export class Stage {
  readonly dir: string
  readonly postgres: Postgres
  readonly #binaries: Binaries
  readonly #worlds: World[] = []
  #abandoned = false

  private constructor(dir: string, postgres: Postgres, binaries: Binaries) {
    this.dir = dir
    this.postgres = postgres
    this.#binaries = binaries
  }

  static async open(report: (line: string) => void): Promise<Stage> {
    const dir = await mkdtemp(join(tmpdir(), 'molecule-faults-'))
    try {
      const binaries = await findBinaries(report)
      return new Stage(dir, await ownPostgres(dir), binaries)
    } catch (error) {
      await rm(dir, { recursive: true, force: true })
      throw error
    }
  }

  /** A control plane of its own: one that is broken on purpose disturbs nobody else. The caller stops it. */
  async controlPlane(
    options: { audit?: boolean; image?: string } = {},
  ): Promise<{ plane: ControlPlane; place: Place }> {
    const dir = join(this.dir, freshName())
    const audit = options.audit ?? false
    const plane = await startControlPlane({ binaries: this.#binaries, dir, report: () => undefined, audit })
    try {
      return { plane, place: await furnish(plane, plane.dir, options.image) }
    } catch (error) {
      await plane.stop()
      throw error
    }
  }

  /** Another PostgreSQL, to be broken. The caller stops it. */
  ownPostgres(): Promise<Postgres> {
    return ownPostgres(this.dir)
  }

  processes(): Instances {
    return new ProcessInstances(join(this.dir, freshName()))
  }

  async world(place: Place, makeInstances: MakeInstances, postgres: Postgres = this.postgres): Promise<World> {
    if (this.#abandoned) throw new Error('the run was broken off')
    const world = await World.open(place, await postgres.createDatabase(freshName()), makeInstances)
    this.#worlds.push(world)
    return world
  }

  /** Ends operators and instances, for a run that is broken off; servers end with this process. */
  async abandon(): Promise<void> {
    this.#abandoned = true
    // What is closed already, or cannot be closed without a server that is down, is no reason to stay.
    for (const world of this.#worlds) await world.close().catch(() => undefined)
    await rm(this.dir, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.postgres.stop()
    await rm(this.dir, { recursive: true, force: true })
  }
}

/** Puts into a cluster what an operator needs, and a default Runtime. */
export async function furnish(plane: ControlPlane, dir: string, image = 'faults/agent'): Promise<Place> {
  await installOperator(plane)
  const metadata = { name: 'faults-agent' }
  const runtime = { apiVersion: 'molecule.dev/v1alpha1', kind: 'Runtime', metadata, spec: { image, default: true } }
  // A kind can be applied about a second after it can be read.
  const first = {
    apiVersion: 'molecule.dev/v1alpha1',
    kind: 'Workspace',
    metadata: { name: 'first', namespace: 'default' },
  }
  await until(() => plane.apply([runtime, { ...first, spec: { suspend: true } }]), { within: 30_000, every: 200 })
  await plane.kubectl([
    'patch',
    'workspace',
    'first',
    '-n',
    'default',
    '--type=merge',
    '-p',
    '{"metadata":{"finalizers":null}}',
  ])
  await plane.kubectl(['delete', 'workspace', 'first', '-n', 'default'])
  return {
    cluster: plane,
    kubeconfig: await plane.identity('molecule-system', 'molecule-operator', join(dir, 'operator')),
  }
}

export const onEngine =
  ({ docker, host }: Engine): MakeInstances =>
  (namespace) =>
    DockerInstances.open(docker, host, namespace)

/** The engine of this machine with the agent's image in it; undefined when none answers. */
export async function findEngine(): Promise<Engine | undefined> {
  const host = process.env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock'
  const docker = host.startsWith('unix://') ? new Dockerode({ socketPath: host.slice(7) }) : new Dockerode()
  const answers = await docker.ping().then(
    () => true,
    () => false,
  )
  return answers ? { docker, host, image: await buildAgentImage({ docker, name: 'molecule-faults' }) } : undefined
}

const ownPostgres = (dir: string): Promise<Postgres> =>
  startPostgres({ dir: join(dir, freshName()), report: () => undefined, unsafe: true, own: true })
