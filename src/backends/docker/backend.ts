import { seconds } from '../../duration.ts'
import type { ContainerInspectInfo } from 'dockerode'
import { reasonOf, RetryAfter, Terminal } from '../../errors.ts'
import { failpoint } from '../../failpoint.ts'
import type { Backend, InstanceId, InstanceRef, InstanceSpec, Observation, OwnedInstance } from '../backend.ts'
import { instanceName } from '../names.ts'
import { assertContained } from './containment.ts'
import { connect, Engine, socketOf } from './engine.ts'
import { cpusOf, failureOf, throwLaunchFailure } from './errors.ts'
import { containerChanges } from './events.ts'
import { allowedRoot, assertFolder } from './host-folder.ts'
import { formerVolumes, type Heirlooms, heirloomsIn, heirloomsOf, noteName, noteOf } from './heirloom.ts'
import { Images } from './images.ts'
import { observationOf } from './observation.ts'
import { adoptedName, adoptionRefused, assertAdoptable, label, networkName, refOf } from './ownership.ts'
import { tarOf } from './tar.ts'
import { archiveOf, createBody } from './translate.ts'

interface DockerOptions {
  /** `unix:///var/run/docker.sock` or `tcp://host:2375`; the client's default when not given. */
  readonly host?: string
  /** Everything made here carries it as a label, and nothing without it is ever touched. */
  readonly operatorInstance: string
  /** Folders of the engine's host in which an instance may have its `/workspace`; none unless given. */
  readonly workspaceRoots?: readonly string[]
}

/** Instances as containers of one Docker engine: create, files and token by archive, start. Found again by their marks. */
export class DockerBackend implements Backend {
  readonly name = 'docker'
  readonly #engine: Engine
  readonly #images: Images
  readonly #roots: readonly string[]
  readonly #socket: string
  /** Of the engine's machine, once it has refused a container for wanting more. */
  #cpus = Infinity
  #network: Promise<string> | undefined
  #adoptions: Promise<unknown> = Promise.resolve()
  /** Uids that a whole look has found absent: a launch that follows at once need not look for an adopted container. */
  readonly #looked = new Set<string>()

  constructor({ host, operatorInstance, workspaceRoots = [] }: DockerOptions) {
    this.#engine = new Engine(connect(host), operatorInstance)
    this.#images = new Images(this.#engine)
    this.#roots = workspaceRoots
    this.#socket = socketOf(host)
  }

  async observe(ref: InstanceRef, signal: AbortSignal): Promise<Observation> {
    try {
      const info = await this.#find(ref, signal)
      if (info !== undefined) return observationOf(info)
      this.#looked.add(ref.uid)
      return { state: 'absent' }
    } catch (error) {
      return { state: 'unknown', cause: reasonOf(error) }
    }
  }

  async ensure(spec: InstanceSpec, signal: AbortSignal): Promise<Observation> {
    const archive = archiveOf(spec)
    const root = spec.hostFolder && allowedRoot(spec.hostFolder, this.#roots)
    try {
      const adopted = this.#looked.delete(spec.ref.uid) ? undefined : await this.#engine.adopted(spec.ref.uid, signal)
      if (adopted !== undefined) return this.observe(spec.ref, signal)
      const made = await this.#create(spec, root, signal)
      if (typeof made !== 'string') return made
      failpoint('created')
      await this.#engine.put(made, archive.path, tarOf(archive.entries), signal)
      failpoint('delivered')
      await this.#start(made, signal)
      return { state: 'starting', id: made as InstanceId, since: new Date(), specHash: spec.specHash }
    } catch (error) {
      throwLaunchFailure(error, spec.image, spec.runtime)
    }
  }

  async remove(ref: InstanceRef, volumes: 'keep' | 'delete', signal: AbortSignal): Promise<'requested' | 'gone'> {
    this.#looked.delete(ref.uid)
    let pending = false
    for (const { Id, Labels } of await this.#engine.containers(ref.uid, signal)) {
      const adopted = Labels[label.operator] === undefined
      if (adopted) await this.#note(ref, await this.#engine.inspect(Id, signal), signal)
      const removed = await this.#engine.removeContainer(Id, signal, adopted ? 'stay' : 'go')
      if (removed === 'removing') pending = true
    }
    if (volumes === 'delete' && !pending)
      for (const { name, labels } of await this.#engine.volumes(ref.uid, signal)) {
        // One that is still in use then is shared with somebody, and stays. The note goes after all that it names.
        for (const heirloom of Object.values(heirloomsIn(labels) ?? {}))
          await this.#engine.removeVolume(heirloom, signal)
        if ((await this.#engine.removeVolume(name, signal)) === 'in use') pending = true
      }
    return pending ? 'requested' : 'gone'
  }

  async prepare(spec: Pick<InstanceSpec, 'image' | 'platform'>, signal: AbortSignal): Promise<void> {
    await this.#images.prepare(spec, signal)
  }

  /** One after the other, so that two refs cannot both find a container free. */
  async adopt(ref: InstanceRef, id: string, signal: AbortSignal): Promise<Observation> {
    const before = this.#adoptions
    const adoption = before.then(() => this.#adopt(ref, id, signal))
    this.#adoptions = adoption.catch(() => {})
    return adoption
  }

  async logs(ref: InstanceRef, bytes: number, signal: AbortSignal): Promise<string> {
    const info = await this.#find(ref, signal)
    if (info === undefined) return ''
    const log = await this.#engine.logs(info.Id, Math.ceil(bytes / 32), signal)
    const output = info.Config.Tty ? log : withoutFrames(log)
    return output.subarray(-bytes).toString()
  }

  async *owned(signal: AbortSignal): AsyncIterable<OwnedInstance> {
    for (const { Id, Names, Labels, Created } of await this.#engine.containers(undefined, signal)) {
      const ref = refOf(Labels, Names[0] ?? '', this.#engine.operator)
      if (ref !== undefined) yield { ref, id: Id as InstanceId, createdAt: new Date(Created * 1000) }
    }
  }

  async *ownedVolumes(signal: AbortSignal): AsyncIterable<InstanceRef> {
    for (const { labels } of await this.#engine.volumes(undefined, signal)) {
      const ref = refOf(labels, '', this.#engine.operator)
      if (ref !== undefined) yield ref
    }
  }

  changes(signal: AbortSignal): AsyncIterable<InstanceRef> {
    return containerChanges(this.#engine, signal)
  }

  /** Takes the operator's own network away, for one that leaves nothing behind. It must have no container left. */
  async removeNetwork(signal: AbortSignal): Promise<void> {
    this.#network = undefined
    const id = await this.#engine.network(signal)
    if (id !== undefined) await this.#engine.removeNetwork(id, signal)
  }

  /** By name, which is one cheap call; by its marks when that finds nothing of ours: renamed by someone, or adopted. */
  async #find(ref: InstanceRef, signal: AbortSignal) {
    const named = await this.#engine.inspect(instanceName(ref.uid), signal)
    if (named !== undefined && this.#isOf(named, ref.uid)) return named
    const ours = await this.#engine.containers(ref.uid, signal)
    const found = ours.find(({ Labels }) => Labels[label.helper] === undefined)
    return found && this.#engine.inspect(found.Id, signal)
  }

  #isOf({ Config, Name }: ContainerInspectInfo, uid: string): boolean {
    return refOf(Config.Labels, Name, this.#engine.operator)?.uid === uid
  }

  /** The id of a container that waits for its files, or what an instance that is there already shows. */
  async #create(spec: InstanceSpec, root: string | undefined, signal: AbortSignal): Promise<string | Observation> {
    const { ref, hostFolder: folder } = spec
    const name = instanceName(ref.uid)
    const network = await this.#ensureNetwork(signal)
    const heirlooms = spec.adopted && (await this.#heirlooms(ref, spec.adopted.row, signal))
    const create = async () => {
      const place = { operator: this.#engine.operator, network, socket: this.#socket, cpus: this.#cpus }
      const body = createBody(spec, place, heirlooms)
      assertContained(body, spec, this.#socket)
      if (folder !== undefined && root !== undefined)
        await assertFolder(this.#engine, root, { ref, folder, image: spec.image }, signal)
      return this.#engine.create(name, body, spec.platform, signal)
    }
    try {
      return await create()
    } catch (error) {
      const failure = failureOf(error)
      if (failure === 'conflict') return this.#existing(name, spec, signal)
      const cpus = cpusOf(error)
      if (cpus !== undefined) this.#cpus = cpus
      else if (failure === 'no-image') await this.#images.pull(spec)
      else throw error
      return create()
    }
  }

  async #existing(name: string, spec: InstanceSpec, signal: AbortSignal): Promise<string | Observation> {
    const info = await this.#engine.inspect(name, signal)
    if (info === undefined) throw new RetryAfter(seconds(1), `container ${name} is on its way out`)
    if (!this.#isOf(info, spec.ref.uid))
      throw new Terminal('NameTaken', `container ${name} (${info.Id.slice(0, 12)}) exists and is not this operator's`)
    const seen = observationOf(info)
    return seen.state === 'created' ? seen.id : seen
  }

  async #adopt(ref: InstanceRef, id: string, signal: AbortSignal): Promise<Observation> {
    const wanted = /^[A-Za-z0-9][\w.-]*$/.test(id) ? await this.#engine.inspect(id, signal) : undefined
    if (wanted === undefined) throw adoptionRefused(id, 'does not exist')
    const own = await this.#find(ref, signal)
    if (own?.Id === wanted.Id) {
      await this.#note(ref, own, signal)
      return observationOf(own)
    }
    if (own !== undefined) throw adoptionRefused(id, `cannot be a second one beside ${own.Id.slice(0, 12)}`)
    assertAdoptable(wanted, ref, this.#engine.operator)
    this.#looked.delete(ref.uid)
    await this.#engine.takeOver(wanted.Id, adoptedName(this.#engine.operator, ref), signal)
    const adopted = await this.#engine.inspect(wanted.Id, signal)
    await this.#note(ref, adopted, signal)
    return adopted === undefined ? { state: 'absent' } : observationOf(adopted)
  }

  /** Writes down what volumes an adopted container has, while it can still be asked. */
  async #note(ref: InstanceRef, adopted: ContainerInspectInfo | undefined, signal: AbortSignal): Promise<void> {
    if (adopted !== undefined) await this.#noteDown(ref, heirloomsOf(adopted), signal)
  }

  async #noteDown(ref: InstanceRef, heirlooms: Heirlooms, signal: AbortSignal): Promise<void> {
    if (Object.keys(heirlooms).length === 0) return
    await this.#engine.createVolume(noteName(ref.uid), noteOf(this.#engine.operator, ref, heirlooms), signal)
  }

  /** What was noted at the adoption; where no container was there to adopt, volumes that the row's id gives a name. */
  async #heirlooms(ref: InstanceRef, row: string | undefined, signal: AbortSignal): Promise<Heirlooms> {
    const note = await this.#engine.volume(noteName(ref.uid), signal)
    if (note !== undefined && refOf(note.labels, '', this.#engine.operator)?.uid === ref.uid)
      return heirloomsIn(note.labels) ?? {}
    const there: [string, string][] = []
    for (const [target, name] of Object.entries(row === undefined ? {} : formerVolumes(row))) {
      const volume = await this.#engine.volume(name, signal)
      if (volume !== undefined && volume.labels[label.operator] === undefined) there.push([target, name])
    }
    const found = Object.fromEntries(there)
    await this.#noteDown(ref, found, signal)
    return found
  }

  /**
   * A container knows its network by id, so one whose network was taken away can never start; nor can one whose start
   * the engine has kept half of, when it was stopped in the middle. Either is made anew.
   */
  async #start(id: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#engine.start(id, signal)
    } catch (error) {
      const failure = failureOf(error)
      if (failure !== 'no-network' && failure !== 'stuck') throw error
      if (failure === 'no-network') this.#network = undefined
      await this.#engine.removeContainer(id, signal)
      const what =
        failure === 'stuck' ? 'a container that cannot start' : 'the network of the instances was removed and'
      throw new RetryAfter(seconds(1), `${what} is made again`, { cause: error })
    }
  }

  /** One look a process: concurrent launches share it, and a failed one is forgotten. */
  async #ensureNetwork(signal: AbortSignal): Promise<string> {
    this.#network ??= this.#findOrMakeNetwork(signal)
    try {
      return await this.#network
    } catch (error) {
      this.#network = undefined
      throw error
    }
  }

  async #findOrMakeNetwork(signal: AbortSignal): Promise<string> {
    const found = await this.#engine.network(signal)
    if (found !== undefined) return found
    const name = networkName(this.#engine.operator)
    try {
      return await this.#engine.createNetwork(name, signal)
    } catch (error) {
      if (failureOf(error) !== 'conflict') throw error
      const made = await this.#engine.network(signal)
      if (made !== undefined) return made
      throw new Terminal('NameTaken', `network ${name} exists and is not this operator's`)
    }
  }
}

/** The engine's log: frames of eight bytes of header, whose last four are the length, and the output. */
export function withoutFrames(log: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at + 8 <= log.length;) {
    const end = at + 8 + log.readUInt32BE(at + 4)
    parts.push(log.subarray(at + 8, end))
    at = end
  }
  return Buffer.concat(parts)
}
