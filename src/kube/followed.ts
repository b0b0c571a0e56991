import type { Key, KubeObject } from '../api/meta.ts'
import { seconds, type Duration } from '../duration.ts'
import type { Allowance } from './allowance.ts'
import type { ResourceType } from './client.ts'
import { FollowedNamespace, type FollowState, type Lookup, type Touched } from './followed-namespace.ts'
import type { InformerTools } from './informer.ts'

export interface FollowOptions<T extends KubeObject> {
  readonly type: ResourceType<T>
  /** Label whose value is remembered of every object, to tell whose it is. */
  readonly mark?: string
  /** Whether anything refers to an object: only then its content is held. */
  readonly referred: (key: Key, mark: string | undefined) => boolean
  /** Whether anything may refer to objects of a namespace: only then it is watched. */
  readonly concerned: (namespace: string) => boolean
  readonly allowance: Allowance
  /** Objects of a namespace beyond which none of them is followed. */
  readonly mostNames?: number
  /** How long references may change before what none of them names any more is dropped. */
  readonly settle?: Duration
}

/**
 * One kind in those namespaces only where something refers to it (decision 11). Of a namespace the names and versions are
 * watched; the content is read object by object, of those that are referred to. Least rights: each namespace is opened by
 * a binding of its own, and where there is none the state is `forbidden` until there is.
 */
export class Followed<T extends KubeObject> {
  readonly type: ResourceType<T>
  readonly #options: FollowOptions<T>
  readonly #tools: InformerTools
  readonly #namespaces = new Map<string, FollowedNamespace<T>>()
  readonly #touched = new Set<(touched: Touched) => void>()
  readonly #moved = new Set<(namespace: string, state: FollowState) => void>()
  readonly #released = new Set<string>()
  #signal: AbortSignal | undefined

  constructor(options: FollowOptions<T>, tools: InformerTools) {
    this.type = options.type
    this.#options = options
    this.#tools = tools
    options.allowance.onFreed((namespace) => {
      const { total, limits } = options.allowance
      // With room for all, only the namespace itself can have been short of it.
      if (total + limits.perNamespace < limits.total) this.#namespaces.get(namespace)?.retryRefused()
      else for (const each of this.#namespaces.values()) each.retryRefused()
    })
  }

  /** Objects whose content is held. */
  get size(): number {
    return [...this.#namespaces.values()].reduce((sum, { size }) => sum + size, 0)
  }

  /** Objects whose content is refused for a limit. */
  get refused(): number {
    return [...this.#namespaces.values()].reduce((sum, { refused }) => sum + refused, 0)
  }

  /** Bytes of the content that is held. */
  get bytes(): number {
    return [...this.#namespaces.values()].reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** Namespaces that are watched. */
  get namespaces(): readonly string[] {
    return [...this.#namespaces.keys()]
  }

  /** Milliseconds since the API server last said anything, of the namespace where that is longest ago. */
  get silence(): number {
    return Math.max(0, ...[...this.#namespaces.values()].map(({ silence }) => silence))
  }

  stateOf(namespace: string): FollowState {
    return this.#in(namespace).state
  }

  /** What is known of an object; the first look makes it be read, and `onChange` tells when that is done. */
  look(namespace: string, name: string): Lookup<T> {
    return this.#in(namespace).look(name)
  }

  /** References of a namespace have changed: what is no longer referred to is dropped soon. */
  release(namespace: string): void {
    if (!this.#namespaces.has(namespace)) return
    if (this.#released.size === 0) setTimeout(() => this.#releaseAll(), this.#options.settle ?? seconds(1)).unref()
    this.#released.add(namespace)
  }

  /** Reads everything anew, as after the API server went back. */
  relist(): void {
    for (const each of this.#namespaces.values()) each.relist()
  }

  /** Puts the answer of one of our own writes into the cache, so that the next pass reads it. */
  remember(object: T): void {
    this.#namespaces.get(object.metadata.namespace ?? '')?.remember(object)
  }

  /** Told when an object came, changed, went, or was read. */
  onChange(listener: (touched: Touched) => void): void {
    this.#touched.add(listener)
  }

  /** Told when a namespace becomes readable or stops being so: what waited for it can look again. */
  onState(listener: (namespace: string, state: FollowState) => void): void {
    this.#moved.add(listener)
  }

  /** Runs what is followed now and later, until the signal aborts. */
  start(signal: AbortSignal): void {
    this.#signal = signal
    for (const each of this.#namespaces.values()) each.start(signal)
  }

  #releaseAll(): void {
    const released = [...this.#released]
    this.#released.clear()
    for (const namespace of released) {
      const followed = this.#namespaces.get(namespace)
      if (this.#options.concerned(namespace)) followed?.dropUnreferred()
      else {
        this.#namespaces.delete(namespace)
        followed?.stop()
      }
    }
  }

  #in(namespace: string): FollowedNamespace<T> {
    const present = this.#namespaces.get(namespace)
    if (present) return present
    const { type, mark, referred, allowance, mostNames } = this.#options
    const followed = new FollowedNamespace<T>(
      {
        type,
        namespace,
        mark,
        referred: (name, whose) => referred(`${namespace}/${name}`, whose),
        allowance,
        ...(mostNames !== undefined && { mostNames }),
        onChange: (touched) => {
          for (const listener of this.#touched) listener(touched)
        },
        onState: (state) => {
          for (const listener of this.#moved) listener(namespace, state)
        },
      },
      this.#tools,
    )
    this.#namespaces.set(namespace, followed)
    if (this.#signal) followed.start(this.#signal)
    return followed
  }
}
