import { setTimeout as delay } from 'node:timers/promises'
import { seconds } from '../../duration.ts'
import { reasonOf, RetryAfter, Terminal } from '../../errors.ts'
import { failpoint } from '../../failpoint.ts'
import type { Backend, InstanceId, InstanceRef, InstanceSpec, Observation, OwnedInstance } from '../backend.ts'
import { instanceName } from '../names.ts'
import { connect, Engine } from './engine.ts'
import { failureOf, pullFailure, throwLaunchFailure } from './errors.ts'
import { containerChanges } from './events.ts'
import { tarOf } from './tar.ts'
import { archiveOf, assertContained, createBody, label, networkName, observationOf, refOf } from './translate.ts'

interface DockerOptions {
  /** `unix:///var/run/docker.sock` or `tcp://host:2375`; the client's default when not given. */
  readonly host?: string
  /** Everything made here carries it as a label, and nothing without it is ever touched. */
  readonly operatorInstance: string
}

/** A pull that is over by then is waited for; a longer one goes on by itself and is looked at again. */
const patience = seconds(2)

/**
 * Instances as containers of one Docker engine: create, files and token by archive, start. Found again by label. The
 * metadata address of a cloud cannot be closed for a single container without a capability: that is the network's.
 */
export class DockerBackend implements Backend {
  readonly name = 'docker'
  readonly #engine: Engine
  readonly #pulls = new Map<string, Promise<Terminal | RetryAfter | undefined>>()
  #network: Promise<string> | undefined

  constructor({ host, operatorInstance }: DockerOptions) {
    this.#engine = new Engine(connect(host), operatorInstance)
  }

  async observe(ref: InstanceRef, signal: AbortSignal): Promise<Observation> {
    try {
      const info = await this.#find(ref, signal)
      return info === undefined ? { state: 'absent' } : observationOf(info)
    } catch (error) {
      return { state: 'unknown', cause: reasonOf(error) }
    }
  }

  async ensure(spec: InstanceSpec, signal: AbortSignal): Promise<Observation> {
    const archive = archiveOf(spec)
    try {
      const made = await this.#create(spec, signal)
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
    const ours = [`${label.uid}=${ref.uid}`]
    let pending = false
    for (const { Id } of await this.#engine.containers(ours, signal))
      if ((await this.#engine.removeContainer(Id, signal)) === 'removing') pending = true
    if (volumes === 'delete' && !pending)
      for (const name of await this.#engine.volumes(ours, signal))
        if ((await this.#engine.removeVolume(name, signal)) === 'in use') pending = true
    return pending ? 'requested' : 'gone'
  }

  async logs(ref: InstanceRef, bytes: number, signal: AbortSignal): Promise<string> {
    const info = await this.#find(ref, signal)
    if (info === undefined) return ''
    const output = withoutFrames(await this.#engine.logs(info.Id, Math.ceil(bytes / 32), signal))
    return output.subarray(-bytes).toString()
  }

  async *owned(signal: AbortSignal): AsyncIterable<OwnedInstance> {
    for (const { Id, Labels, Created } of await this.#engine.containers([], signal)) {
      const ref = refOf(Labels, this.#engine.operator)
      if (ref !== undefined) yield { ref, id: Id as InstanceId, createdAt: new Date(Created * 1000) }
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

  /** By name, which is one cheap call; by label when that finds nothing of ours: someone may have renamed it. */
  async #find(ref: InstanceRef, signal: AbortSignal) {
    const named = await this.#engine.inspect(instanceName(ref.uid), signal)
    if (named !== undefined && this.#isOf(named.Config.Labels, ref.uid)) return named
    const [found] = await this.#engine.containers([`${label.uid}=${ref.uid}`], signal)
    return found && this.#engine.inspect(found.Id, signal)
  }

  #isOf(labels: Readonly<Record<string, string>>, uid: string): boolean {
    return refOf(labels, this.#engine.operator)?.uid === uid
  }

  /** The id of a container that waits for its files, or what an instance that is there already shows. */
  async #create(spec: InstanceSpec, signal: AbortSignal): Promise<string | Observation> {
    const name = instanceName(spec.ref.uid)
    const body = createBody(spec, this.#engine.operator, await this.#ensureNetwork(signal))
    assertContained(body)
    try {
      return await this.#engine.create(name, body, signal)
    } catch (error) {
      const failure = failureOf(error)
      if (failure === 'conflict') return this.#adopt(name, spec, signal)
      if (failure !== 'no-image' || !hasRegistry(spec.image)) throw error
      await this.#pull(spec)
      return this.#engine.create(name, body, signal)
    }
  }

  async #adopt(name: string, spec: InstanceSpec, signal: AbortSignal): Promise<string | Observation> {
    const info = await this.#engine.inspect(name, signal)
    if (info === undefined) throw new RetryAfter(seconds(1), `container ${name} is on its way out`)
    if (!this.#isOf(info.Config.Labels, spec.ref.uid))
      throw new Terminal('NameTaken', `container ${name} (${info.Id.slice(0, 12)}) exists and is not this operator's`)
    const seen = observationOf(info)
    return seen.state === 'created' ? seen.id : seen
  }

  /** A container knows its network by id, so one whose network was taken away can never start: it is made anew. */
  async #start(id: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#engine.start(id, signal)
    } catch (error) {
      if (failureOf(error) !== 'no-network') throw error
      this.#network = undefined
      await this.#engine.removeContainer(id, signal)
      throw new RetryAfter(seconds(1), 'the network of the instances was removed and is made again', { cause: error })
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

  /** One pull an image, however many wait for it. */
  async #pull({ image, runtime }: InstanceSpec): Promise<void> {
    const pull =
      this.#pulls.get(image) ??
      this.#engine.pull(image).then(
        () => undefined,
        (error: unknown) => pullFailure(error, image, runtime),
      )
    this.#pulls.set(image, pull)
    const ended = await Promise.race([pull, delay(patience, 'pending' as const, { ref: false })])
    if (ended === 'pending') throw new RetryAfter(seconds(5), `image "${image}" is being pulled`)
    this.#pulls.delete(image)
    if (ended !== undefined) throw ended
  }
}

/** Whether a reference says where it comes from, `host/…` or `…@sha256:…`: a bare name is a local image's. */
export const hasRegistry = (image: string): boolean =>
  /@sha256:[0-9a-f]{64}$/.test(image) || /^([^/]*[.:][^/]*|localhost)\//.test(image)

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
