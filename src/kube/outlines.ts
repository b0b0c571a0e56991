/**
 * Objects of which only the outline is kept, by namespace and by the bytes that the whole would take: whether any of a
 * namespace fits is asked of its smallest. Each object that goes asks, and there may be a hundred thousand of these.
 */
import type { Key } from '../api/meta.ts'
import { KeyHeap } from './key-heap.ts'
import { splitKey } from './raw.ts'

const namespaceOf = (key: Key): string => splitKey(key)[0] ?? ''

export class Outlines {
  readonly #bytes = new Map<Key, number>()
  /** Namespace to its keys, the smallest first. */
  readonly #smallest = new Map<string, KeyHeap>()

  get size(): number {
    return this.#bytes.size
  }

  has(key: Key): boolean {
    return this.#bytes.has(key)
  }

  set(key: Key, bytes: number): void {
    if (this.#bytes.get(key) === bytes) return
    this.delete(key)
    this.#bytes.set(key, bytes)
    const namespace = namespaceOf(key)
    const heap = this.#smallest.get(namespace) ?? new KeyHeap()
    this.#smallest.set(namespace, heap)
    heap.add(key, bytes)
  }

  delete(key: Key): void {
    if (!this.#bytes.delete(key)) return
    const namespace = namespaceOf(key)
    const heap = this.#smallest.get(namespace)
    heap?.delete(key)
    if (heap?.next === undefined) this.#smallest.delete(namespace)
  }

  /** One that fits, the smallest of its namespace; undefined: none does. Looks at one object of each namespace at most. */
  fitting(fits: (namespace: string, bytes: number) => boolean): Key | undefined {
    for (const [namespace, heap] of this.#smallest) {
      const { next } = heap
      if (next !== undefined && fits(namespace, next.at)) return next.key
    }
    return undefined
  }
}
