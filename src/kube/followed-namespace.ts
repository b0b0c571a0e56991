import { keyOf, type Key, type KubeObject } from '../api/meta.ts'
import { seconds, type Duration } from '../duration.ts'
import { reasonOf } from '../errors.ts'
import { News, type Logger } from '../telemetry/log.ts'
import { sizeOf, type Allowance } from './allowance.ts'
import type { ResourceType } from './client.ts'
import type { InformerState, InformerTools } from './informer.ts'
import { KnownNames, type Name } from './known-names.ts'
import { KubeError } from './kube-error.ts'
import { ListAnew } from './list-anew.ts'
import { deepFreeze } from './object-cache.ts'
import { collectionPath, compareVersions, objectPath, strip, type RawObject } from './raw.ts'
import { sleep } from './timing.ts'
import { watch, type WatchEvent } from './watch.ts'

/** `crowded`: the namespace has more objects of the kind than are followed. It is looked at again every minute. */
export type FollowState = InformerState | 'crowded'

/** What a look at an object found. `noKind`: the API server does not know the kind. */
export type Lookup<T> =
  | { readonly state: 'found'; readonly object: T }
  | { readonly state: 'missing' | 'syncing' | 'forbidden' | 'noKind' }
  /** `limit`: which one, in words. */
  | { readonly state: 'exceeded'; readonly limit: string }

/** An object that came, changed, went, or was read. */
export interface Touched {
  readonly key: Key
  readonly mark: string | undefined
}

export interface FollowedNamespaceOptions<T extends KubeObject> {
  readonly type: ResourceType<T>
  readonly namespace: string
  readonly mark: string | undefined
  readonly referred: (name: string, mark: string | undefined) => boolean
  readonly allowance: Allowance
  readonly mostNames?: number
  readonly onChange: (touched: Touched) => void
  readonly onState: (state: FollowState) => void
}

type Content<T> =
  | { readonly state: 'held'; readonly object: T; readonly version: string; readonly bytes: number }
  | { readonly state: 'refused'; readonly limit: string; readonly bytes: number }
  | { readonly state: 'forbidden' }

const mostNames = 20_000
/** Objects of one namespace read at once: few of the connections that all share. */
const abreast = 4
/** For what only a person can mend. */
const patient = seconds(10)

/**
 * One kind in one namespace: the names by a watch that carries metadata alone, the content of what is referred to by one
 * GET for each version seen. While a new version is read, the one before is what a look finds. The file is longer than others:
 * names, reads and what is held of a version change together, under one account of bytes, and no part of it has state alone.
 */
export class FollowedNamespace<T extends KubeObject> {
  readonly #options: FollowedNamespaceOptions<T>
  readonly #tools: InformerTools
  readonly #log: Logger
  readonly #names = new KnownNames()
  readonly #contents = new Map<string, Content<T>>()
  /** Names to be read, in order, and those that are being read. */
  readonly #queue = new Set<string>()
  readonly #reading = new Set<string>()
  /** Names that could not be read and are read again after a pause: a look in between begins no further reading. */
  readonly #failed = new Set<string>()
  readonly #stop = new AbortController()
  #signal: AbortSignal | undefined
  #state: FollowState = 'syncing'
  readonly #news = new News()
  readonly #listAnew = new ListAnew()
  #listed = false
  #heardAt = performance.now()

  constructor(options: FollowedNamespaceOptions<T>, tools: InformerTools) {
    this.#options = options
    this.#tools = tools
    this.#log = tools.log.child({ kind: options.type.kind, namespace: options.namespace })
  }

  get state(): FollowState {
    return this.#state
  }

  get size(): number {
    return [...this.#contents.values()].filter(({ state }) => state === 'held').length
  }

  get bytes(): number {
    return [...this.#contents.values()].reduce((sum, each) => (each.state === 'held' ? sum + each.bytes : sum), 0)
  }

  get refused(): number {
    return [...this.#contents.values()].filter(({ state }) => state === 'refused').length
  }

  get silence(): number {
    return performance.now() - this.#heardAt
  }

  look(name: string): Lookup<T> {
    switch (this.#state) {
      case 'syncing':
      case 'forbidden':
        return { state: this.#state }
      case 'missing':
        return { state: 'noKind' }
      case 'crowded':
        return { state: 'exceeded', limit: `${this.#most} ${this.#options.type.kind}s in a namespace` }
      case 'synced':
    }
    if (!this.#names.has(name)) return { state: 'missing' }
    const content = this.#contents.get(name)
    switch (content?.state) {
      case 'held':
        return { state: 'found', object: content.object }
      case 'refused':
        return { state: 'exceeded', limit: content.limit }
      case 'forbidden':
        return { state: 'forbidden' }
      case undefined:
        if (!this.#reading.has(name) && !this.#failed.has(name)) this.#read(name)
        return { state: 'syncing' }
    }
  }

  start(signal: AbortSignal): void {
    if (this.#signal !== undefined) return
    this.#signal = AbortSignal.any([signal, this.#stop.signal])
    void this.#run(this.#signal)
  }

  /** Reads everything anew, as after the API server went back; until then what is held is found. */
  relist(): void {
    this.#listAnew.ask()
  }

  /** Ends the watch, and gives up all that is held. */
  stop(): void {
    this.#stop.abort()
    this.#forget()
  }

  remember(object: T): void {
    const { name, resourceVersion } = object.metadata
    const known = this.#names.get(name)
    if (!this.#listed || (known && compareVersions(known.version, resourceVersion) >= 0)) return
    const named = this.#nameOf(object)
    this.#names.set(named)
    if (this.#options.referred(name, named.mark)) this.#hold(name, object)
    this.#tell(named)
  }

  dropUnreferred(): void {
    for (const name of this.#contents.keys())
      if (!this.#options.referred(name, this.#names.get(name)?.mark)) this.#drop(name)
  }

  /** Reads again what was refused, as far as it fits now. */
  retryRefused(): void {
    const { allowance, namespace } = this.#options
    for (const [name, content] of this.#contents)
      if (content.state === 'refused' && allowance.exceeded(namespace, content.bytes) === undefined) this.#read(name)
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { type, namespace } = this.#options
    const { transport, metrics } = this.#tools
    const options = {
      transport,
      path: collectionPath(type, namespace),
      convert: (raw: RawObject) => this.#nameOf(raw),
      known: this.#names,
      metadataOnly: true,
      mostObjects: this.#most,
      listAnew: this.#listAnew,
      onRestart: (cause: string) => metrics.watchRestarts.inc({ kind: type.kind, cause }),
    }
    while (!signal.aborted) {
      for await (const event of watch<Name>(options, signal)) {
        if (signal.aborted) return
        this.#handle(event)
        // Begun anew, it is the list that finds too many.
        if (this.#names.size > this.#most) break
      }
      if (!signal.aborted) this.#crowd()
    }
  }

  #handle(event: WatchEvent<Name>): void {
    if (event.type !== 'trouble') {
      this.#heardAt = performance.now()
      this.#news.end()
    }
    switch (event.type) {
      case 'synced':
        if (event.anew) this.#reset(event.objects, event.resourceVersion)
        else this.#replace(event.objects, event.resourceVersion)
        this.#listed = true
        this.#move('synced')
        return
      case 'wentBack':
        if (event.sign) this.#log.warn(event.sign, 'the API server went back: all is read anew')
        return
      case 'changed':
        if (event.object) this.#put(event.object)
        return
      case 'deleted':
        this.#remove(event.raw.metadata.name, event.raw.metadata.resourceVersion)
        return
      case 'live':
        this.#move('synced')
        return
      case 'trouble':
        this.#complain(event.error)
    }
  }

  #replace(names: readonly Name[], version: string): void {
    const listed = new Set(names.map(({ name }) => name))
    for (const name of names) this.#put(name)
    for (const { name } of this.#names.values()) if (!listed.has(name)) this.#remove(name, version)
  }

  /** All names of a server that went back. What is held is found until it has been read again. */
  #reset(names: readonly Name[], version: string): void {
    const before = [...this.#names.values()]
    this.#names.reset(names, version)
    for (const gone of before.filter(({ name }) => !this.#names.has(name))) {
      this.#drop(gone.name)
      this.#tell(gone)
    }
    for (const named of names) {
      const content = this.#contents.get(named.name)
      if (content?.state === 'held' && this.#options.referred(named.name, named.mark)) {
        this.#contents.set(named.name, { ...content, version: '0' })
        this.#read(named.name)
        continue
      }
      this.#drop(named.name)
      this.#tell(named)
    }
  }

  #put(named: Name): void {
    const known = this.#names.get(named.name)
    if (known && compareVersions(known.version, named.version) >= 0) return
    this.#names.set(named)
    if (!this.#contents.has(named.name)) {
      if (this.#listed) this.#tell(named)
    } else if (this.#options.referred(named.name, named.mark)) this.#read(named.name)
    else this.#drop(named.name)
  }

  /** Gone as of `version`, unless it was written since. */
  #remove(name: string, version: string): void {
    const known = this.#names.get(name)
    if (known === undefined || compareVersions(known.version, version) > 0) return
    this.#names.delete(name)
    this.#drop(name)
    this.#tell(known)
  }

  #read(name: string): void {
    this.#queue.add(name)
    this.#pump()
  }

  #pump(): void {
    for (const name of this.#queue) {
      if (this.#reading.size >= abreast || this.#signal === undefined || this.#signal.aborted) return
      // Asked for anew while it is being read: once more, after that.
      if (this.#reading.has(name)) continue
      this.#queue.delete(name)
      this.#reading.add(name)
      void this.#get(name, this.#signal).finally(() => {
        this.#reading.delete(name)
        this.#pump()
      })
    }
  }

  async #get(name: string, signal: AbortSignal): Promise<void> {
    const { type, namespace } = this.#options
    const named = this.#names.get(name)
    if (named === undefined) return
    const path = objectPath(type, `${namespace}/${name}`)
    try {
      const raw = await this.#tools.transport.send({ method: 'GET', path, verb: 'get', signal })
      if (signal.aborted) return
      const object = type.parse(strip(raw as RawObject, type))
      const read = this.#nameOf(object)
      const known = this.#names.get(name)
      // Gone while it was read: that was told.
      if (known === undefined) return
      const behind = compareVersions(read.version, known.version)
      if (behind > 0) this.#names.set(read)
      this.#hold(name, object)
      this.#tell(read)
      // Changed while it was read for the first time. After a pause: a server that went back has nothing newer.
      if (behind < 0) void this.#readAfter(seconds(1 + Math.random()), name, signal)
    } catch (error) {
      if (!signal.aborted) this.#fail(named, error, signal)
    }
  }

  #fail(named: Name, error: unknown, signal: AbortSignal): void {
    const { name } = named
    if (error instanceof KubeError && error.isNotFound) return this.#remove(name, named.version)
    if (error instanceof KubeError && error.isTooLarge) {
      this.#refuse(named, 'what the API server may answer at once', Number.POSITIVE_INFINITY)
      return this.#tell(named)
    }
    const forbidden = error instanceof KubeError && error.isForbidden
    this.#log.info({ name, cause: reasonOf(error) }, 'object cannot be read')
    if (forbidden && this.#contents.get(name)?.state !== 'forbidden') {
      this.#drop(name)
      this.#contents.set(name, { state: 'forbidden' })
      this.#tell(named)
    }
    void this.#readAfter(forbidden ? patient : seconds(1 + Math.random()), name, signal)
  }

  async #readAfter(pause: Duration, name: string, signal: AbortSignal): Promise<void> {
    if (this.#failed.has(name)) return
    this.#failed.add(name)
    await sleep(pause, signal)
    this.#failed.delete(name)
    if (this.#names.has(name)) this.#read(name)
  }

  /** Holds the content, as far as there is room for it. */
  #hold(name: string, object: T): void {
    const { allowance, namespace } = this.#options
    const version = object.metadata.resourceVersion
    const before = this.#contents.get(name)
    if (before?.state === 'held' && compareVersions(before.version, version) >= 0) return
    const bytes = sizeOf(object)
    // What is replaced makes room, and for nothing else.
    if (before?.state === 'held') allowance.take(namespace, -before.bytes)
    const limit = allowance.exceeded(namespace, bytes)
    if (limit !== undefined) return this.#refuse(this.#nameOf(object), limit, bytes)
    allowance.take(namespace, bytes)
    this.#contents.set(name, { state: 'held', object: deepFreeze(object), version, bytes })
    if (before?.state === 'held' && before.bytes > bytes) allowance.give(namespace, 0)
  }

  #refuse({ name }: Name, limit: string, bytes: number): void {
    const { allowance, namespace } = this.#options
    const before = this.#contents.get(name)
    if (before?.state !== 'refused') this.#log.warn({ name, bytes, limit }, 'object refused: a limit is reached')
    this.#contents.set(name, { state: 'refused', limit, bytes })
    if (before?.state === 'held') allowance.give(namespace, 0)
  }

  #drop(name: string): void {
    const content = this.#contents.get(name)
    this.#contents.delete(name)
    if (content?.state === 'held') this.#options.allowance.give(this.#options.namespace, content.bytes)
  }

  #forget(): void {
    for (const name of this.#contents.keys()) this.#drop(name)
    this.#names.clear()
    this.#queue.clear()
    this.#listed = false
  }

  #crowd(): void {
    this.#forget()
    this.#move('crowded')
  }

  #complain(error: KubeError): void {
    if (error.reason === 'TooManyObjects') this.#crowd()
    else if (error.isForbidden) this.#move('forbidden')
    else if (error.isNotFound) this.#move('missing')
    else if (this.#news.is(error.reason))
      this.#log.info({ cause: reasonOf(error), reason: error.reason }, 'watch will be tried again')
  }

  #move(state: FollowState): void {
    if (state === this.#state) return
    this.#state = state
    if (state === 'forbidden') this.#log.warn('list and watch are forbidden: a role binding is missing')
    if (state === 'missing') this.#log.warn('the API server has no such kind: its CRD is not installed')
    if (state === 'crowded')
      this.#log.warn({ limit: this.#most }, 'too many objects in the namespace: none is followed')
    this.#options.onState(state)
  }

  #nameOf({ metadata }: RawObject | T): Name {
    const { mark } = this.#options
    const { name, resourceVersion: version, labels } = metadata
    return { name, version, mark: mark === undefined ? undefined : labels?.[mark] }
  }

  #tell({ name, mark }: Name): void {
    this.#options.onChange({ key: keyOf({ metadata: { name, namespace: this.#options.namespace } }), mark })
  }

  get #most(): number {
    return this.#options.mostNames ?? mostNames
  }
}
