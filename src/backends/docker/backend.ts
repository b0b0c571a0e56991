import Dockerode from 'dockerode'
import type { ContainerInspectInfo } from 'dockerode'
import { seconds, type Duration } from '../../duration.ts'
import { reasonOf, RetryAfter, Terminal } from '../../errors.ts'
import { failpoint } from '../../failpoint.ts'
import {
  unguarded,
  type Backend,
  type DiskUse,
  type InstanceId,
  type InstanceRef,
  type InstanceSpec,
  type Observation,
  type OnUntold,
  type OwnedInstance,
  type SessionReset,
  withReset,
} from '../backend.ts'
import type { Base } from '../host-folder.ts'
import { instanceName } from '../names.ts'
import { assertContained } from './containment.ts'
import { Engine, type Write } from './engine.ts'
import { boundsNoLayer, cpusOf, type Failure, failureOf, throwLaunchFailure } from './errors.ts'
import { containerChanges } from './events.ts'
import { clientOptions, type EngineTls, socketOf } from './host.ts'
import { allowedBase, assertFolder } from './host-folder.ts'
import {
  formerVolumes,
  type Heirlooms,
  heirloomsIn,
  heirloomsOf,
  noteName,
  noteOf,
  sessionsVolume,
} from './heirloom.ts'
import { Images } from './images.ts'
import { Networks } from './networks.ts'
import { exposureOf, observationOf, unshadowed } from './observation.ts'
import { adoptedName, adoptionRefused, assertAdoptable, label, marks, refOf, uidOf } from './ownership.ts'
import { credentialsIn } from './registry-credentials.ts'
import { defaultPool } from './subnets.ts'
import { tarOf } from './tar.ts'
import { archiveOf, createBody } from './translate.ts'

export interface DockerOptions {
  /** `unix:///var/run/docker.sock`, which it is when not given, or `tcp://host:2376`. */
  readonly host?: string
  /** Needed for an engine that is reached by another address than loopback. */
  readonly tls?: EngineTls
  /** Everything made here carries it as a label, and nothing without it is ever touched. */
  readonly operatorInstance: string
  /** Where on the engine's host an instance may have its `/workspace`; nowhere unless given. */
  readonly folderBases?: readonly Base[]
  /** File with the credentials of registries; none unless given. */
  readonly registryAuthFile?: string
  /** Networks of IPv4 out of which each namespace gets subnets. */
  readonly subnets?: readonly string[]
  /** How long the stream of events may be silent before it is doubted. */
  readonly silence?: Duration
}

/** Failures of a start after which the same container can never start. */
const startedAnew: Partial<Record<Failure, string>> = {
  stuck: 'a container that cannot start is made again',
  'no-network': 'the network of the instances was removed and is made again',
  'network-full': 'the network of the instances has no address left',
  ambiguous: 'there are two networks of one name, and one of them goes',
}

/**
 * Instances as containers of one Docker engine: create, files and token by archive, start. Found again by their marks. The
 * file is longer than others: it is the verbs of the port, which share the engine, its images and its networks.
 */
export class DockerBackend implements Backend {
  readonly name = 'docker'
  readonly #engine: Engine
  readonly #images: Images
  readonly #bases: readonly Base[]
  readonly #socket: string
  /** Of the engine's machine, once it has refused a container for wanting more. */
  #cpus = Infinity
  /** Until it has refused to. */
  #boundsLayers = true
  readonly #networks: Networks
  readonly #silence: Duration | undefined
  #adoptions: Promise<unknown> = Promise.resolve()
  /** Uids that a whole look has found absent: a launch that follows at once need not look for an adopted container. */
  readonly #looked = new Set<string>()

  constructor(options: DockerOptions) {
    const { host, tls, operatorInstance, folderBases = [], registryAuthFile, subnets = defaultPool } = options
    this.#engine = new Engine(new Dockerode(clientOptions(host, tls)), operatorInstance)
    this.#images = new Images(this.#engine, credentialsIn(registryAuthFile))
    const local = host === undefined || host.startsWith('unix://')
    this.#networks = new Networks({ engine: this.#engine, pool: subnets, local })
    this.#bases = folderBases
    this.#silence = options.silence
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

  async ensure(spec: InstanceSpec, signal: AbortSignal, guard = unguarded): Promise<Observation> {
    const write = { signal, guard }
    const archive = archiveOf(spec)
    const base = spec.hostFolder && allowedBase(spec.hostFolder, spec.ref.namespace, this.#bases)
    try {
      const adopted = this.#looked.delete(spec.ref.uid) ? undefined : await this.#engine.adopted(spec.ref.uid, signal)
      if (adopted !== undefined) return this.observe(spec.ref, signal)
      for (;;) {
        const { id: network } = await this.#networks.open(spec.ref.namespace, write)
        const made = await this.#create(spec, base, network, write)
        if (typeof made !== 'string') return made
        failpoint('created')
        await this.#engine.put(made, archive.path, tarOf(archive.entries), write)
        failpoint('delivered')
        if ((await this.#start(made, spec.ref, write)) === 'started') return await this.#started(made, write)
        this.#networks.markFull(network)
      }
    } catch (error) {
      throwLaunchFailure(error, spec.image, spec.runtime)
    }
  }

  async remove(
    ref: InstanceRef,
    volumes: 'keep' | 'delete',
    signal: AbortSignal,
    guard = unguarded,
  ): Promise<'requested' | 'gone'> {
    const write = { signal, guard }
    this.#looked.delete(ref.uid)
    let pending = false
    for (const { Id, Labels, NetworkSettings } of await this.#engine.containers(ref.uid, signal)) {
      const adopted = Labels[label.operator] === undefined
      if (adopted) await this.#note(ref, await this.#engine.inspect(Id, signal), write)
      const removed = await this.#engine.removeContainer(Id, write, adopted ? 'stay' : 'go')
      if (removed === 'removing') pending = true
      this.#networks.markLeft(Object.values(NetworkSettings.Networks).map(({ NetworkID }) => NetworkID))
    }
    if (volumes === 'delete' && !pending) {
      for (const { name, labels } of await this.#engine.volumes(ref.uid, signal)) {
        // One that is still in use then is shared with another container, and stays. The note goes after all that it names.
        for (const heirloom of Object.values(heirloomsIn(labels) ?? {}))
          await this.#engine.removeVolume(heirloom, write)
        if ((await this.#engine.removeVolume(name, write)) === 'in use') pending = true
      }
      await this.#networks.removeUnused(ref.namespace, write)
    }
    return pending ? 'requested' : 'gone'
  }

  async resetSessions(
    {
      ref,
      sessionsPath,
      sessionReset,
      adopted,
    }: Pick<InstanceSpec, 'ref' | 'sessionsPath' | 'sessionReset' | 'adopted'>,
    signal: AbortSignal,
    guard = unguarded,
  ): Promise<SessionReset> {
    if (sessionsPath === undefined) return 'kept'
    const write = { signal, guard }
    const heirlooms = adopted === undefined ? {} : await this.#heirlooms(ref, adopted.row, write)
    const name = sessionsVolume(ref.uid, sessionsPath, heirlooms)
    // One that came with the container is known by the note, any other by our labels.
    const found = await this.#engine.volume(name, signal)
    const ours = found !== undefined && refOf(found.labels, '', this.#engine.operator)?.uid === ref.uid
    if (found !== undefined && !ours && !Object.values(heirlooms).includes(name)) return 'kept'
    const done = ours ? (found.labels[label.sessionResets] ?? '').split(' ').filter((each) => each !== '') : []
    if (sessionReset !== undefined && done.includes(sessionReset)) return 'kept'
    if (found !== undefined && (await this.#engine.removeVolume(name, write)) === 'in use')
      throw new RetryAfter(seconds(10), `volume ${name} is in use by another container: its sessions cannot be emptied`)
    if (sessionReset !== undefined) {
      const labels = { [label.sessionResets]: withReset(done, sessionReset).join(' ') }
      await this.#engine.createVolume(name, { ...marks(this.#engine.operator, ref), ...labels }, write)
    }
    return 'emptied'
  }

  async prepare(spec: Pick<InstanceSpec, 'image' | 'platform'>, signal: AbortSignal): Promise<void> {
    await this.#images.prepare(spec, signal)
  }

  async identify(id: string, signal: AbortSignal): Promise<{ id: string; name: string } | undefined> {
    const found = /^[0-9a-f]{12,64}$/.test(id) ? await this.#engine.inspect(id, signal) : undefined
    return found && { id: found.Id, name: found.Name.replace(/^\//, '') }
  }

  /** One after the other, so that two refs cannot both find a container free. */
  async adopt(ref: InstanceRef, id: string, signal: AbortSignal, guard = unguarded): Promise<Observation> {
    const before = this.#adoptions
    const adoption = before.then(() => this.#adopt(ref, id, { signal, guard }))
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

  async disk(signal: AbortSignal): Promise<readonly DiskUse[]> {
    const found = new Map<string, DiskUse>()
    for (const { labels, name, bytes } of await this.#engine.sizes(signal)) {
      const ref = refOf(labels, name, this.#engine.operator)
      if (ref !== undefined) found.set(ref.uid, { ref, bytes: bytes + (found.get(ref.uid)?.bytes ?? 0) })
    }
    return [...found.values()]
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

  changes(signal: AbortSignal, onUntold?: OnUntold): AsyncIterable<InstanceRef> {
    return containerChanges(this.#engine, signal, { silence: this.#silence, onUntold })
  }

  /** Takes the operator's own networks away, for one that leaves nothing behind. They must have no container left. */
  async removeNetworks(signal: AbortSignal): Promise<void> {
    await this.#networks.removeAll({ signal, guard: unguarded })
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
  async #create(
    spec: InstanceSpec,
    base: Base | undefined,
    network: string,
    write: Write,
  ): Promise<string | Observation> {
    const { ref, hostFolder: folder } = spec
    const name = instanceName(ref.uid)
    const heirlooms = spec.adopted && (await this.#heirlooms(ref, spec.adopted.row, write))
    const create = async () => {
      const place = {
        operator: this.#engine.operator,
        network,
        socket: this.#socket,
        cpus: this.#cpus,
        boundsLayers: this.#boundsLayers,
      }
      const body = createBody(spec, place, heirlooms)
      assertContained(body, spec, this.#socket)
      if (folder !== undefined && base !== undefined)
        await assertFolder(this.#engine, base, { ref, folder, image: spec.image }, write)
      return this.#engine.create(name, body, spec.platform, write)
    }
    try {
      return await create()
    } catch (error) {
      const failure = failureOf(error)
      if (failure === 'conflict') return (await this.#existing(name, spec, write)) ?? (await create())
      const cpus = cpusOf(error)
      if (cpus !== undefined) this.#cpus = cpus
      else if (boundsNoLayer(error)) this.#boundsLayers = false
      else if (failure === 'no-image') {
        write.guard()
        await this.#images.pull(spec)
      } else throw error
      return create()
    }
  }

  /** Undefined: one that never started was made for another network than those of its namespace, and is gone. */
  async #existing(name: string, spec: InstanceSpec, write: Write): Promise<string | Observation | undefined> {
    const info = await this.#engine.inspect(name, write.signal)
    if (info === undefined) throw new RetryAfter(seconds(1), `container ${name} is on its way out`)
    if (!this.#isOf(info, spec.ref.uid))
      throw new Terminal('NameTaken', `container ${name} (${info.Id.slice(0, 12)}) exists and is not this operator's`)
    const seen = observationOf(info)
    if (seen.state !== 'created') return seen
    if (exposureOf(info) !== 'SharedNetwork') return seen.id
    await this.#engine.removeContainer(info.Id, write)
    return undefined
  }

  async #adopt(ref: InstanceRef, id: string, write: Write): Promise<Observation> {
    const wanted = /^[A-Za-z0-9][\w.-]*$/.test(id) ? await this.#engine.inspect(id, write.signal) : undefined
    if (wanted === undefined) throw adoptionRefused(id, 'does not exist')
    const own = await this.#find(ref, write.signal)
    if (own?.Id === wanted.Id) {
      await this.#note(ref, own, write)
      return observationOf(own)
    }
    if (own !== undefined) throw adoptionRefused(id, `cannot be a second one beside ${own.Id.slice(0, 12)}`)
    assertAdoptable(wanted, ref, this.#engine.operator)
    this.#looked.delete(ref.uid)
    await this.#engine.takeOver(wanted.Id, adoptedName(this.#engine.operator, ref), write)
    const adopted = await this.#engine.inspect(wanted.Id, write.signal)
    await this.#note(ref, adopted, write)
    return adopted === undefined ? { state: 'absent' } : observationOf(adopted)
  }

  /** Writes down what volumes an adopted container has, while it can still be asked. */
  async #note(ref: InstanceRef, adopted: ContainerInspectInfo | undefined, write: Write): Promise<void> {
    if (adopted !== undefined) await this.#noteDown(ref, heirloomsOf(adopted), write)
  }

  async #noteDown(ref: InstanceRef, heirlooms: Heirlooms, write: Write): Promise<void> {
    if (Object.keys(heirlooms).length === 0) return
    await this.#engine.createVolume(noteName(ref.uid), noteOf(this.#engine.operator, ref, heirlooms), write)
  }

  /** What was noted at the adoption; where no container was there to adopt, volumes that the row's id gives a name. */
  async #heirlooms(ref: InstanceRef, row: string | undefined, write: Write): Promise<Heirlooms> {
    const note = await this.#engine.volume(noteName(ref.uid), write.signal)
    if (note !== undefined && refOf(note.labels, '', this.#engine.operator)?.uid === ref.uid)
      return heirloomsIn(note.labels) ?? {}
    const there: [string, string][] = []
    for (const [target, name] of Object.entries(row === undefined ? {} : formerVolumes(row))) {
      const volume = await this.#engine.volume(name, write.signal)
      const free = volume !== undefined && volume.labels[label.operator] === undefined
      if (free && !(await this.#isOfAnother(name, ref, write.signal))) there.push([target, name])
    }
    const found = Object.fromEntries(there)
    await this.#noteDown(ref, found, write)
    return found
  }

  /** Whether the note or a container of another uid names that volume: two ids may begin alike. */
  async #isOfAnother(volume: string, ref: InstanceRef, signal: AbortSignal): Promise<boolean> {
    for (const { labels } of await this.#engine.volumes(undefined, signal))
      if (labels[label.uid] !== ref.uid && Object.values(heirloomsIn(labels) ?? {}).includes(volume)) return true
    const users = await this.#engine.usersOf(volume, signal)
    return users.some(({ Labels, Names }) => (uidOf(Labels, Names[0] ?? '') ?? ref.uid) !== ref.uid)
  }

  /**
   * A container knows its network by id, so one whose network was taken away can never start; nor can one whose start
   * the engine has kept half of, when it was stopped in the middle. Each is made anew.
   */
  async #start(id: string, { namespace }: InstanceRef, write: Write): Promise<'started' | 'no address'> {
    try {
      await this.#engine.start(id, write)
      return 'started'
    } catch (error) {
      const failure = failureOf(error)
      const why = startedAnew[failure]
      if (why === undefined) throw error
      await this.#engine.removeContainer(id, write)
      if (failure === 'network-full') return 'no address'
      this.#networks.forget(namespace)
      throw new RetryAfter(seconds(1), why, { cause: error })
    }
  }

  /** What came of a start. An engine that leaves out the addresses it was asked for gives no error: it is looked at. */
  async #started(id: string, write: Write): Promise<Observation> {
    const info = await this.#engine.inspect(id, write.signal)
    if (info === undefined) return { state: 'absent' }
    const missing = unshadowed(info)
    if (missing.length === 0) return observationOf(info)
    await this.#engine.removeContainer(id, write)
    const addresses = missing.join(', ')
    throw new Terminal(
      'MetadataReachable',
      `this Docker engine gave the container no address ${addresses} of its own, so that an agent could reach the credentials of the machine there: the container was removed`,
    )
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
