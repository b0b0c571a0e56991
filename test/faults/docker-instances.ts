import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type Dockerode from 'dockerode'
import { label, legacyLabel } from '../../src/backends/docker/ownership.ts'
import type { Instances } from './instances.ts'

interface EngineEvent {
  readonly Actor?: { readonly ID?: string; readonly Attributes?: Readonly<Record<string, string>> }
}

/** Of an adopted container: its uid and namespace. */
const adoptedName = /^\/ws-([A-Za-z0-9-]+)[.]adopted-[0-9a-f]+[.]([^.]+)[.]/

/** Where containers find the operator: the engine maps the name to its host. */
export const engineHost = 'host.docker.internal'

/** Instances as containers of one namespace, which is a label; creates are counted from the engine's own events. */
export class DockerInstances implements Instances {
  readonly backend = 'docker'
  readonly settings: Readonly<Record<string, string>>
  readonly #docker: Dockerode
  readonly #filters: { readonly label: string[] }
  readonly #namespace: string
  readonly #created = new Map<string, string>()
  readonly #strangers: string[] = []
  readonly #images: string[] = []
  readonly #over = new AbortController()

  private constructor(docker: Dockerode, host: string, namespace: string) {
    this.#docker = docker
    this.#namespace = namespace
    this.#filters = { label: [`${label.namespace}=${namespace}`] }
    this.settings = { BACKENDS: 'docker', DOCKER_HOST: host, PLATFORM_HOST: '0.0.0.0' }
  }

  static async open(docker: Dockerode, host: string, namespace: string): Promise<DockerInstances> {
    const instances = new DockerInstances(docker, host, namespace)
    await instances.follow()
    return instances
  }

  /** Listens to the engine, and hears what it remembers. The same container is counted once. */
  async follow(): Promise<void> {
    const filters = { ...this.#filters, type: ['container' as const], event: ['create'] }
    const stream = await this.#docker.getEvents({ filters, since: 1 })
    this.#over.signal.addEventListener('abort', () => void ('destroy' in stream && (stream as Readable).destroy()))
    // An engine that goes away ends the stream.
    stream.on('error', () => undefined)
    createInterface({ input: stream })
      .on('line', (line) => {
        const { Actor: { ID: id, Attributes: { [label.uid]: uid } = {} } = {} } = JSON.parse(line) as EngineEvent
        if (id !== undefined && uid !== undefined) this.#created.set(id, uid)
      })
      .on('error', () => undefined)
  }

  async live(): Promise<Map<string, string[]>> {
    const found = new Map<string, string[]>()
    const containers = await this.#docker.listContainers({ all: true, filters: this.#filters })
    for (const { Id, Labels, State } of containers) {
      const uid = Labels[label.uid] ?? ''
      if (['created', 'running', 'restarting', 'paused'].includes(State))
        found.set(uid, [...(found.get(uid) ?? []), Id])
    }
    for (const { Id, Names, State } of await this.#docker.listContainers({
      all: true,
      filters: { name: ['[.]adopted-'] },
    })) {
      const [, uid, namespace] = adoptedName.exec(Names[0] ?? '') ?? []
      if (uid !== undefined && namespace === this.#namespace && State === 'running')
        found.set(uid, [...(found.get(uid) ?? []), Id])
    }
    return found
  }

  creates(): Map<string, number> {
    const counts = new Map<string, number>()
    for (const uid of this.#created.values()) counts.set(uid, (counts.get(uid) ?? 0) + 1)
    return counts
  }

  async kill(id: string): Promise<void> {
    await this.#docker.getContainer(id).kill()
  }

  async discard(uid: string): Promise<void> {
    const filters = { label: [...this.#filters.label, `${label.uid}=${uid}`] }
    for (const { Id } of await this.#docker.listContainers({ all: true, filters }))
      await this.#docker.getContainer(Id).remove({ force: true, v: true })
    for (const { Name } of (await this.#docker.listVolumes({ filters })).Volumes)
      await this.#docker.getVolume(Name).remove()
  }

  async another(image: string): Promise<string> {
    const [repo, tag] = [`${image.split(':')[0] ?? ''}-other`, this.#namespace]
    await this.#docker.getImage(image).tag({ repo, tag })
    this.#images.push(`${repo}:${tag}`)
    return `${repo}:${tag}`
  }

  /** As the system before made them. It runs the image of the agents, which is there. */
  async stranger(): Promise<string> {
    const [image] = await this.#docker.listImages({ filters: { reference: ['molecule-faults'] } })
    const container = await this.#docker.createContainer({
      Image: image?.Id ?? '',
      Entrypoint: ['/usr/bin/node', '-e', 'setInterval(() => {}, 1 << 30)'],
      Cmd: [],
      Labels: { [legacyLabel]: 'true' },
    })
    this.#strangers.push(container.id)
    await container.start()
    return container.id
  }

  async leftovers(): Promise<string[]> {
    const { containers, volumes } = await this.#all()
    return [...containers.map((id) => `container ${id}`), ...volumes.map((name) => `volume ${name}`)]
  }

  async close(operatorInstance: string): Promise<void> {
    this.#over.abort()
    const { containers, volumes } = await this.#all()
    const missing = () => undefined
    for (const id of this.#strangers) await this.#docker.getContainer(id).remove({ force: true }).catch(missing)
    for (const id of containers) await this.#docker.getContainer(id).remove({ force: true, v: true })
    for (const name of volumes) await this.#docker.getVolume(name).remove()
    for (const image of this.#images) await this.#docker.getImage(image).remove().catch(missing)
    const filters = { label: [`${label.operator}=${operatorInstance}`] }
    for (const { Id } of await this.#docker.listNetworks({ filters })) await this.#docker.getNetwork(Id).remove()
  }

  async #all(): Promise<{ containers: string[]; volumes: string[] }> {
    const containers = await this.#docker.listContainers({ all: true, filters: this.#filters })
    const { Volumes } = await this.#docker.listVolumes({ filters: this.#filters })
    return { containers: containers.map(({ Id }) => Id), volumes: Volumes.map(({ Name }) => Name) }
  }
}
