import type { Key } from '../api/meta.ts'

interface Entry {
  readonly key: Key
  readonly at: number
}

/** Dropped entries that may stay, so that few keys are not sorted anew all the time. */
const spare = 64

/** Keys by a number, the least first: the moment at which they are due, or a size. Of several for one key the least counts. A binary heap. */
export class KeyHeap {
  #heap: Entry[] = []
  /** The entry that counts; others of the key are dropped when they surface. */
  readonly #current = new Map<Key, Entry>()

  add(key: Key, at: number): void {
    const present = this.#current.get(key)
    if (present && present.at <= at) return
    const entry = { key, at }
    this.#current.set(key, entry)
    // Keys that come and go behind one that stays leave entries that never surface. What is sorted is a heap.
    if (this.#heap.length > 2 * this.#current.size + spare)
      this.#heap = [...this.#current.values()].filter((each) => each !== entry).sort((a, b) => a.at - b.at)
    this.#heap.push(entry)
    this.#rise(this.#heap.length - 1)
  }

  delete(key: Key): void {
    this.#current.delete(key)
  }

  /** Entries that are held, dropped ones that have not surfaced among them. */
  get held(): number {
    return this.#heap.length
  }

  get next(): Readonly<Entry> | undefined {
    this.#dropStale()
    return this.#heap[0]
  }

  takeDue(now: number): Key[] {
    const due: Key[] = []
    for (let next = this.next; next !== undefined && next.at <= now; next = this.next) {
      const entry = this.#pop()
      if (!entry) break
      this.#current.delete(entry.key)
      due.push(entry.key)
    }
    return due
  }

  #dropStale(): void {
    for (let top = this.#heap[0]; top && this.#current.get(top.key) !== top; top = this.#heap[0]) this.#pop()
  }

  #pop(): Entry | undefined {
    const [top] = this.#heap
    const last = this.#heap.pop()
    if (last && this.#heap.length > 0) {
      this.#heap[0] = last
      this.#sink()
    }
    return top
  }

  #rise(start: number): void {
    for (let child = start; child > 0;) {
      const parent = (child - 1) >> 1
      if (this.#at(parent) <= this.#at(child)) return
      this.#swap(parent, child)
      child = parent
    }
  }

  #sink(): void {
    for (let parent = 0; ;) {
      const left = 2 * parent + 1
      const least = this.#at(left + 1) < this.#at(left) ? left + 1 : left
      if (this.#at(parent) <= this.#at(least)) return
      this.#swap(parent, least)
      parent = least
    }
  }

  #at(index: number): number {
    return this.#heap[index]?.at ?? Number.POSITIVE_INFINITY
  }

  #swap(a: number, b: number): void {
    const [one, other] = [this.#heap[a], this.#heap[b]]
    if (!one || !other) return
    this.#heap[a] = other
    this.#heap[b] = one
  }
}
