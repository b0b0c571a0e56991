import type { KubeObject } from '../api/meta.ts'
import type { Change } from './client.ts'
import type { Informer, InformerState } from './informer.ts'

/**
 * One kind in those namespaces only where somebody reads it. Least rights: each namespace is opened to us by a binding of
 * its own, and where there is none the informer says `forbidden` until there is.
 */
export class Followed<T extends KubeObject> {
  readonly #make: (namespace: string) => Informer<T>
  readonly #informers = new Map<string, Informer<T>>()
  readonly #changed = new Set<(change: Change<T>) => void>()
  readonly #moved = new Set<(namespace: string, state: InformerState) => void>()
  #signal: AbortSignal | undefined

  constructor(make: (namespace: string) => Informer<T>) {
    this.#make = make
  }

  /** The informer of a namespace, begun by the first who asks: look at its `state` before you believe its cache. */
  in(namespace: string): Informer<T> {
    const present = this.#informers.get(namespace)
    if (present) return present
    const informer = this.#make(namespace)
    this.#informers.set(namespace, informer)
    informer.onChange((change) => {
      for (const listener of this.#changed) listener(change)
    })
    informer.onState((state) => {
      for (const listener of this.#moved) listener(namespace, state)
    })
    if (this.#signal) void informer.start(this.#signal)
    return informer
  }

  onChange(listener: (change: Change<T>) => void): void {
    this.#changed.add(listener)
  }

  /** Told when a namespace becomes readable or stops being so: whoever waited for it can look again. */
  onState(listener: (namespace: string, state: InformerState) => void): void {
    this.#moved.add(listener)
  }

  /** Runs what is followed now and later, until the signal aborts. */
  start(signal: AbortSignal): void {
    this.#signal = signal
    for (const informer of this.#informers.values()) void informer.start(signal)
  }
}
