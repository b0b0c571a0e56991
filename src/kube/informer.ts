import { keyOf, type Key, type KubeObject } from '../api/meta.ts'
import { seconds, type Duration } from '../duration.ts'
import { reasonOf } from '../errors.ts'
import { News, type Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { sizeOf, type Allowance } from './allowance.ts'
import type { Cache, Change, ResourceType } from './client.ts'
import { KubeError } from './kube-error.ts'
import { ListAnew } from './list-anew.ts'
import { ObjectCache, type IndexFunctions } from './object-cache.ts'
import { Outlines } from './outlines.ts'
import { collectionPath, compareVersions, objectPath, splitKey, strip, type RawObject } from './raw.ts'
import { limitOf, reduce } from './reduced.ts'
import { sleep } from './timing.ts'
import type { Transport } from './transport.ts'
import { watch, type WatchEvent } from './watch.ts'

/** `forbidden` and `missing` (no such kind) are tried again every ten seconds, and mend by themselves. */
export type InformerState = 'syncing' | 'synced' | 'forbidden' | 'missing'

export interface InformerOptions<T extends KubeObject> {
  readonly type: ResourceType<T>
  /** Only this namespace; all of them without it. */
  readonly namespace?: string
  readonly indexes?: IndexFunctions<T>
  /** Counts what is kept. Of an object beyond it only the outline is (reduced.ts), until there is room. */
  readonly allowance?: Allowance
  /** The longest silence of a watch; that of watch.ts unless given. */
  readonly idle?: Duration
}

export interface InformerTools {
  readonly transport: Transport
  readonly log: Logger
  readonly metrics: Metrics
}

/** One kind (in one namespace or all), kept in memory and up to date. */
export class Informer<T extends KubeObject> {
  readonly type: ResourceType<T>
  readonly namespace: string | undefined
  readonly #tools: InformerTools
  readonly #log: Logger
  readonly #cache: ObjectCache<T>
  readonly #allowance: Allowance | undefined
  readonly #idle: Duration | undefined
  /** Bytes counted of each object, where there is an allowance. */
  readonly #sizes = new Map<Key, number>()
  /** Objects of which only the outline is kept, with what the whole would take. */
  readonly #reduced = new Outlines()
  /** Keys of a list that takes the place of all that was here: its objects are counted as they are read. */
  #relisted: ReadonlySet<Key> = new Set()
  #rereading = false
  readonly #changed = new Set<(change: Change<T>) => void>()
  readonly #moved = new Set<(state: InformerState) => void>()
  readonly #firstSync = Promise.withResolvers<void>()
  /** Versions already reported as unreadable, so that each is said once. */
  readonly #unreadable = new Map<Key, string>()
  #state: InformerState = 'syncing'
  readonly #news = new News()
  readonly #listAnew = new ListAnew()
  #heardAt = performance.now()
  #running: Promise<void> | undefined

  constructor(options: InformerOptions<T>, tools: InformerTools) {
    this.type = options.type
    this.namespace = options.namespace
    this.#tools = tools
    this.#log = tools.log.child({ kind: options.type.kind, ...(options.namespace && { namespace: options.namespace }) })
    this.#allowance = options.allowance
    this.#idle = options.idle
    this.#allowance?.onFreed(() => void this.#reread())
    this.#cache = new ObjectCache<T>(options.indexes ?? {}, (change) => {
      if (change.after === undefined && !this.#relisted.has(change.key)) this.#uncount(change.key)
      for (const listener of this.#changed) listener(change)
    })
  }

  get cache(): Cache<T> {
    return this.#cache
  }

  get state(): InformerState {
    return this.#state
  }

  /** Resolves with the first whole list. */
  get synced(): Promise<void> {
    return this.#firstSync.promise
  }

  /** Milliseconds since the API server last said anything. */
  get silence(): number {
    return performance.now() - this.#heardAt
  }

  /** Told of every change from now on, after it is in the cache; must not throw and only enqueue. */
  onChange(listener: (change: Change<T>) => void): void {
    this.#changed.add(listener)
  }

  onState(listener: (state: InformerState) => void): void {
    this.#moved.add(listener)
  }

  /** A version of the object that has its whole content; undefined where none is here. */
  known(key: Key): T | undefined {
    const object = this.#cache.get(key)
    return object === undefined || limitOf(object) !== undefined ? undefined : object
  }

  /** Puts the answer of one of our own writes into the cache, so that the next pass reads it. */
  remember(object: T): void {
    const mine = this.namespace === undefined || this.namespace === object.metadata.namespace
    if (!mine || !this.#cache.hasSynced) return
    this.#cache.remember(this.#counted(object))
    this.#recount(keyOf(object))
  }

  /** Fills the cache anew, as after the API server went back: all that it holds counts as gone, and what is listed as new. */
  relist(): void {
    if (this.#state === 'synced') this.#move('syncing')
    this.#listAnew.ask()
  }

  /** Runs until the signal aborts. A second call joins the first. */
  start(signal: AbortSignal): Promise<void> {
    this.#running ??= this.#run(signal)
    return this.#running
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { transport, metrics } = this.#tools
    const path = collectionPath(this.type, this.namespace)
    const options = {
      transport,
      path,
      convert: (raw: RawObject, anew: boolean) => this.#convert(raw, anew),
      known: this.#cache,
      listAnew: this.#listAnew,
      ...(this.#idle !== undefined && { idle: this.#idle }),
      onRestart: (cause: string) => metrics.watchRestarts.inc({ kind: this.type.kind, cause }),
    }
    for await (const event of watch<T>(options, signal)) this.#handle(event)
  }

  #handle(event: WatchEvent<T>): void {
    if (event.type !== 'trouble') {
      this.#heardAt = performance.now()
      this.#news.end()
    }
    switch (event.type) {
      case 'synced':
        if (event.anew) this.#reset(event.objects, event.resourceVersion)
        else this.#cache.replace(event.objects, event.resourceVersion)
        for (const object of event.objects) this.#recount(keyOf(object))
        this.#move('synced')
        this.#firstSync.resolve()
        this.#log.info({ objects: this.#cache.size }, 'cache synced')
        return
      case 'wentBack':
        // Until the list is there, nothing may be concluded from what is not in the cache.
        this.#move('syncing')
        if (event.sign) this.#log.warn(event.sign, 'the API server went back: the cache is filled anew')
        return
      case 'changed':
        if (event.object) this.#cache.put(event.object)
        else this.#cache.evict(event.raw)
        this.#recount(keyOf(event.raw))
        return
      case 'deleted':
        this.#unreadable.delete(keyOf(event.raw))
        this.#cache.delete(event.raw)
        return
      case 'live':
        this.#move('synced')
        return
      case 'trouble':
        this.#complain(event.error)
    }
  }

  #reset(objects: readonly T[], version: string): void {
    this.#relisted = new Set(objects.map(keyOf))
    this.#cache.reset(objects, version)
    this.#relisted = new Set()
  }

  #convert(raw: RawObject, anew: boolean): T | undefined {
    const known = anew ? undefined : this.#cache.known(raw)
    if (known) return known
    try {
      return this.#counted(this.type.parse(strip(raw, this.type)))
    } catch (error) {
      const key = keyOf(raw)
      if (this.#unreadable.get(key) !== raw.metadata.resourceVersion)
        this.#log.warn({ key, uid: raw.metadata.uid, cause: reasonOf(error) }, 'object cannot be read')
      this.#unreadable.set(key, raw.metadata.resourceVersion)
      return undefined
    }
  }

  /** The object, or its outline where the whole does not fit. */
  #counted(object: T): T {
    const allowance = this.#allowance
    if (allowance === undefined) return object
    const { namespace = '' } = object.metadata
    const key = keyOf(object)
    const bytes = sizeOf(object)
    allowance.take(namespace, -(this.#sizes.get(key) ?? 0))
    const limit = allowance.exceeded(namespace, bytes)
    const kept = limit === undefined ? object : reduce(object, limit)
    const size = limit === undefined ? bytes : sizeOf(kept)
    allowance.take(namespace, size)
    this.#sizes.set(key, size)
    if (limit === undefined) this.#reduced.delete(key)
    else if (!this.#reduced.has(key))
      this.#log.warn({ key, bytes, limit }, 'object kept in outline: a limit is reached')
    if (limit !== undefined) this.#reduced.set(key, bytes)
    return kept
  }

  /** Counts what the cache has: it may have kept an object out, or taken out one of the same name before. */
  #recount(key: Key): void {
    const present = this.#cache.get(key)
    if (present === undefined) return this.#uncount(key)
    if (this.#allowance === undefined || this.#sizes.has(key)) return
    const size = sizeOf(present)
    this.#allowance.take(splitKey(key)[0] ?? '', size)
    this.#sizes.set(key, size)
  }

  #uncount(key: Key): void {
    const size = this.#sizes.get(key)
    this.#sizes.delete(key)
    this.#reduced.delete(key)
    if (size !== undefined) this.#allowance?.give(splitKey(key)[0] ?? '', size)
  }

  /** Reads whole what fits by now, one after the other. */
  async #reread(): Promise<void> {
    if (this.#rereading) return
    this.#rereading = true
    try {
      for (let key = this.#fitting(); key !== undefined; key = this.#fitting())
        if (!(await this.#readWhole(key))) return
    } finally {
      this.#rereading = false
    }
  }

  #fitting(): Key | undefined {
    return this.#reduced.fitting((namespace, bytes) => this.#allowance?.exceeded(namespace, bytes) === undefined)
  }

  /** False: nothing can be read now. The next that makes room, or its next version, brings it. */
  async #readWhole(key: Key): Promise<boolean> {
    try {
      const path = objectPath(this.type, key)
      const raw = (await this.#tools.transport.send({ method: 'GET', path, verb: 'get' })) as RawObject
      const present = this.#cache.get(key)
      // Gone while it was read, or changed: what the watch told counts, and was counted.
      if (!present) return true
      if (compareVersions(present.metadata.resourceVersion, raw.metadata.resourceVersion) > 0) {
        // A server that went back has nothing newer.
        await sleep(seconds(1))
        return true
      }
      const whole = this.#counted(this.type.parse(strip(raw, this.type)))
      if (limitOf(whole) !== undefined) return false
      this.#cache.put(whole, true)
      return true
    } catch (error) {
      this.#log.info({ key, cause: reasonOf(error) }, 'object not read anew')
      if (error instanceof KubeError && !error.isNotFound) return false
      // Gone meanwhile, or no object that can be read: its next version brings it, and the others need not wait for that.
      this.#reduced.delete(key)
      return true
    }
  }

  #complain(error: KubeError): void {
    if (error.isForbidden) this.#move('forbidden')
    else if (error.isNotFound) this.#move('missing')
    else if (this.#news.is(error.reason))
      this.#log.info({ cause: reasonOf(error), reason: error.reason }, 'watch will be tried again')
  }

  #move(state: InformerState): void {
    if (state === this.#state) return
    this.#state = state
    if (state === 'forbidden') this.#log.warn('list and watch are forbidden: a role binding is missing')
    if (state === 'missing') this.#log.warn('the API server has no such kind: its CRD is not installed')
    for (const listener of this.#moved) listener(state)
  }
}
