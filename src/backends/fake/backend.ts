import { setTimeout as delay } from 'node:timers/promises'
import { milliseconds, type Duration } from '../../duration.ts'
import { reasonOf, RetryAfter, Terminal } from '../../errors.ts'
import {
  adoptedHash,
  type Backend,
  type DiskUse,
  type InstanceId,
  type InstanceRef,
  type InstanceSpec,
  type Observation,
  type OwnedInstance,
  unguarded,
  type SessionReset,
  withReset,
} from '../backend.ts'
import { ChangeFeed } from '../changes.ts'
import { deliveredFiles, instanceName } from '../names.ts'

type Verb = 'observe' | 'ensure' | 'remove' | 'resetSessions' | 'prepare' | 'adopt' | 'owned'
/** An image is there unless it is said to be otherwise; `slow`: its pull lasts until it is said to be there. */
type ImageState = 'there' | 'slow' | 'missing' | 'unauthorized'

interface FakeOptions {
  /** `fake` unless it stands in for another one. */
  readonly name?: string
  /** How long each call takes; nothing at all unless given. */
  readonly latency?: Duration
  /** `requested` first, `gone` at the second look, as a process ends. */
  readonly slowRemoval?: boolean
  readonly addressOf?: (spec: InstanceSpec) => string
  /** Called once for every instance that begins to run; `ended` fires when it no longer does. */
  readonly onRunning?: (spec: InstanceSpec, ended: AbortSignal) => void
  readonly now?: () => Date
}

interface FakeInstance {
  readonly operator: string
  readonly id: InstanceId
  /** Of an instance that was adopted no more than this is known. */
  readonly spec: Pick<InstanceSpec, 'ref' | 'specHash'>
  readonly address: string
  readonly startedAt: Date
  readonly ended: AbortController
  stopping: boolean
  exit: { code: number; at: Date } | undefined
}

/** The place where fake instances live: what several operators may share, and what outlives one. */
class FakeWorld {
  readonly instances = new Map<string, FakeInstance>()
  readonly creates = new Map<string, number>()
  readonly removes = new Map<string, number>()
  readonly volumes = new Map<string, Map<string, string>>()
  readonly sessions = new Map<string, Map<string, string>>()
  /** Names of the resets that were done. */
  readonly sessionResets = new Map<string, readonly string[]>()
  readonly resets = new Map<string, number>()
  /** Whose the volumes are, by uid. */
  readonly marks = new Map<string, { readonly operator: string; readonly ref: InstanceRef }>()
  readonly output = new Map<string, string>()
  /** Instances that no operator made, by id. */
  readonly strangers = new Map<string, { readonly startedAt: Date; readonly address: string }>()
  readonly images = new Map<string, ImageState>()
  readonly pulling = new Set<string>()
  readonly pulls = new Map<string, number>()
  serial = 0
}

/** Instances in memory, with the semantics of the real ones: the double of tests and the far side of the bench. */
export class FakeBackend implements Backend {
  readonly name: string
  /** How often an instance was made or taken, by uid: what I1 and I5 are judged by. */
  readonly creates: ReadonlyMap<string, number>
  readonly removes: ReadonlyMap<string, number>
  /** What outlives an instance, by uid: path → content. */
  readonly volumes: ReadonlyMap<string, Map<string, string>>
  /** The same of sessions, which an instance finds only where its spec asks for them. */
  readonly sessions: ReadonlyMap<string, Map<string, string>>
  /** How often those were emptied, by uid. */
  readonly resets: ReadonlyMap<string, number>
  /** What the instances wrote, by uid. */
  readonly output: Map<string, string>
  /** Bytes of disk that an instance takes, by uid; none unless set. */
  readonly diskBytes = new Map<string, number>()
  /** How often an image was pulled, by its reference. */
  readonly pulls: ReadonlyMap<string, number>
  readonly #options: FakeOptions
  readonly #operator: string
  readonly #world: FakeWorld
  readonly #faults: { verb: Verb; error: Error; left: number; late: boolean }[] = []
  readonly #feed = new ChangeFeed()

  constructor(options: FakeOptions = {}, operator = 'fake', world = new FakeWorld()) {
    this.#options = options
    this.#operator = operator
    this.#world = world
    this.name = options.name ?? 'fake'
    this.creates = world.creates
    this.removes = world.removes
    this.volumes = world.volumes
    this.sessions = world.sessions
    this.resets = world.resets
    this.output = world.output
    this.pulls = world.pulls
  }

  /** The same place in the eyes of another operator, or of this one started anew. */
  seenBy(operator: string): FakeBackend {
    return new FakeBackend(this.#options, operator, this.#world)
  }

  has(uid: string): boolean {
    return this.#world.instances.has(uid)
  }

  /** What the next look at that image finds; once `missing` or `unauthorized`, a pull of it fails. */
  setImage(image: string, state: ImageState): void {
    this.#world.images.set(image, state)
    if (state !== 'slow') this.#world.pulling.delete(image)
  }

  /** Starts an instance that no operator made, as one of the system before; gives back its id. */
  stranger(address = '', id = `fake-${++this.#world.serial}`): string {
    this.#world.strangers.set(id, { startedAt: this.#now(), address })
    return id
  }

  /**
   * The next `times` calls of the verb fail with `error`; observe says `unknown`, as a backend out of reach does. Returns
   * what ends it earlier. `late`: the call has its effect, and its answer is lost; of `ensure` alone.
   */
  fail(verb: Verb, error: Error, times = 1, late = false): () => void {
    const fault = { verb, error, left: times, late }
    this.#faults.push(fault)
    return () => void (fault.left = 0)
  }

  /** Ends an instance as its own crash would. Nothing running is nothing to end. */
  kill(uid: string, code = 137): void {
    const instance = this.#world.instances.get(uid)
    if (instance === undefined || instance.exit !== undefined) return
    instance.exit = { code, at: this.#now() }
    instance.ended.abort()
    this.#feed.push(instance.spec.ref)
  }

  /** Takes an instance away behind the operator's back. */
  vanish(uid: string): void {
    const instance = this.#world.instances.get(uid)
    this.#world.instances.delete(uid)
    instance?.ended.abort()
    if (instance !== undefined) this.#feed.push(instance.spec.ref)
  }

  async observe(ref: InstanceRef, signal: AbortSignal): Promise<Observation> {
    try {
      await this.#enter('observe', signal)
    } catch (error) {
      return { state: 'unknown', cause: reasonOf(error) }
    }
    return this.#look(ref.uid)
  }

  async ensure(spec: InstanceSpec, signal: AbortSignal, guard = unguarded): Promise<Observation> {
    const { uid } = spec.ref
    instanceName(uid)
    const files = deliveredFiles(spec)
    await this.#enter('ensure', signal)
    if (this.#mine(uid) !== undefined) return this.#look(uid)
    if (this.has(uid)) throw new Terminal('NameTaken', `instance ws-${uid} belongs to another operator`)
    this.#pull(spec.image)
    guard()
    const volume = this.volumes.get(uid) ?? new Map<string, string>()
    for (const file of files) volume.set(file.path, Buffer.from(file.content).toString())
    const { volumes, creates } = this.#world
    volumes.set(uid, volume)
    if (spec.sessionsPath !== undefined)
      this.#world.sessions.set(uid, this.sessions.get(uid) ?? new Map<string, string>())
    this.#world.marks.set(uid, { operator: this.#operator, ref: spec.ref })
    const id = `fake-${++this.#world.serial}` as InstanceId
    const ended = new AbortController()
    const address = this.#options.addressOf?.(spec) ?? ''
    const { ref, specHash } = spec
    this.#bear(id, { ref, specHash }, address, this.#now(), ended)
    creates.set(uid, (creates.get(uid) ?? 0) + 1)
    this.#options.onRunning?.(spec, ended.signal)
    this.#feed.push(spec.ref)
    this.#meet('ensure', true)
    return this.#look(uid)
  }

  async prepare({ image }: Pick<InstanceSpec, 'image' | 'platform'>, signal: AbortSignal): Promise<void> {
    await this.#enter('prepare', signal)
    this.#pull(image)
  }

  async identify(id: string): Promise<{ id: string; name: string } | undefined> {
    return this.#world.strangers.has(id) ? { id, name: `stranger-${id}` } : undefined
  }

  async adopt(ref: InstanceRef, id: string, signal: AbortSignal, guard = unguarded): Promise<Observation> {
    await this.#enter('adopt', signal)
    const own = this.#world.instances.get(ref.uid)
    if (own?.id === id && own.operator === this.#operator) return this.#look(ref.uid)
    const stranger = this.#world.strangers.get(id)
    const refused = (why: string) => new Terminal('AdoptionRefused', `instance "${id}" ${why}`)
    if (own !== undefined) throw refused(`cannot be a second one beside ${own.id}`)
    if ([...this.#world.instances.values()].some((each) => each.id === id))
      throw refused('belongs to another Workspace')
    if (stranger === undefined) throw refused('does not exist')
    guard()
    this.#world.strangers.delete(id)
    const { address, startedAt } = stranger
    this.#bear(id as InstanceId, { ref, specHash: adoptedHash }, address, startedAt, new AbortController())
    this.#feed.push(ref)
    return this.#look(ref.uid)
  }

  async remove(
    ref: InstanceRef,
    volumes: 'keep' | 'delete',
    signal: AbortSignal,
    guard = unguarded,
  ): Promise<'requested' | 'gone'> {
    await this.#enter('remove', signal)
    const instance = this.#mine(ref.uid)
    if (instance === undefined && this.has(ref.uid)) return 'gone'
    guard()
    if (instance !== undefined) {
      instance.ended.abort()
      this.#feed.push(instance.spec.ref)
      if (this.#options.slowRemoval === true && !instance.stopping) {
        instance.stopping = true
        return 'requested'
      }
      this.#world.instances.delete(ref.uid)
      this.#world.removes.set(ref.uid, (this.removes.get(ref.uid) ?? 0) + 1)
    }
    if (volumes === 'delete' && this.#world.marks.get(ref.uid)?.operator === this.#operator) {
      this.#world.volumes.delete(ref.uid)
      this.#world.sessions.delete(ref.uid)
      this.#world.sessionResets.delete(ref.uid)
      this.#world.marks.delete(ref.uid)
      this.output.delete(ref.uid)
    }
    return 'gone'
  }

  async resetSessions(
    { ref, sessionReset }: Pick<InstanceSpec, 'ref' | 'sessionsPath' | 'sessionReset'>,
    signal: AbortSignal,
    guard = unguarded,
  ): Promise<SessionReset> {
    await this.#enter('resetSessions', signal)
    if (this.#world.marks.get(ref.uid)?.operator !== this.#operator) return 'kept'
    const done = this.#world.sessionResets.get(ref.uid) ?? []
    if (sessionReset !== undefined && done.includes(sessionReset)) return 'kept'
    guard()
    if (sessionReset !== undefined) this.#world.sessionResets.set(ref.uid, withReset(done, sessionReset))
    this.#world.sessions.delete(ref.uid)
    this.#world.resets.set(ref.uid, (this.resets.get(ref.uid) ?? 0) + 1)
    return 'emptied'
  }

  async disk(): Promise<readonly DiskUse[]> {
    return [...this.#instances()].map(({ ref }) => ({ ref, bytes: this.diskBytes.get(ref.uid) ?? 0 }))
  }

  async logs(ref: InstanceRef, bytes: number): Promise<string> {
    return this.#mine(ref.uid) === undefined ? '' : (this.output.get(ref.uid) ?? '').slice(-bytes)
  }

  async *owned(signal: AbortSignal): AsyncIterable<OwnedInstance> {
    await this.#enter('owned', signal)
    yield* this.#instances()
  }

  async *ownedVolumes(signal: AbortSignal): AsyncIterable<InstanceRef> {
    await this.#enter('owned', signal)
    for (const { operator, ref } of this.#world.marks.values()) if (operator === this.#operator) yield ref
  }

  async *changes(signal: AbortSignal): AsyncIterable<InstanceRef> {
    for (const { ref } of this.#instances()) yield ref
    yield* this.#feed.read(signal)
  }

  async #enter(verb: Verb, signal: AbortSignal): Promise<void> {
    const latency = this.#options.latency ?? milliseconds(0)
    if (latency > 0) await delay(latency, undefined, { signal })
    this.#meet(verb, false)
  }

  #meet(verb: Verb, late: boolean): void {
    const fault = this.#faults.find((each) => each.verb === verb && each.late === late && each.left > 0)
    if (fault === undefined) return
    fault.left--
    throw fault.error
  }

  *#instances(): Iterable<OwnedInstance> {
    for (const { operator, spec, id, startedAt } of this.#world.instances.values())
      if (operator === this.#operator) yield { ref: spec.ref, id, createdAt: startedAt }
  }

  #mine(uid: string): FakeInstance | undefined {
    const instance = this.#world.instances.get(uid)
    return instance?.operator === this.#operator ? instance : undefined
  }

  #look(uid: string): Observation {
    const instance = this.#mine(uid)
    if (instance === undefined) return { state: 'absent' }
    const { id, spec, address, startedAt, exit } = instance
    if (instance.stopping) return { state: 'stopping', id }
    const { specHash } = spec
    if (exit === undefined) return { state: 'running', id, address, specHash, startedAt, imageDigest: '' }
    const detail = `exit code ${exit.code}`
    return { state: 'exited', id, specHash, exitCode: exit.code, detail, finishedAt: exit.at }
  }

  #bear(id: InstanceId, spec: FakeInstance['spec'], address: string, startedAt: Date, ended: AbortController): void {
    const born = { operator: this.#operator, id, spec, address, startedAt, ended, stopping: false, exit: undefined }
    this.#world.instances.set(spec.ref.uid, born)
  }

  #pull(image: string): void {
    const { images, pulling, pulls } = this.#world
    const state = images.get(image) ?? 'there'
    if (state === 'there') return
    if (!pulling.has(image)) pulls.set(image, (pulls.get(image) ?? 0) + 1)
    pulling.add(image)
    if (state === 'slow') throw new RetryAfter(milliseconds(50), `image "${image}" is being pulled`)
    const reason = state === 'missing' ? 'ImageMissing' : 'ImageUnauthorized'
    throw new Terminal(reason, `image "${image}" cannot be pulled: ${state}`)
  }

  #now(): Date {
    return this.#options.now?.() ?? new Date()
  }
}
