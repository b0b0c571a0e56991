import type { Key } from '../api/meta.ts'

interface Entry {
  readonly key: Key
  readonly at: number
}

/** Keys by the moment they are due; of several moments for one key the earliest counts. A binary heap. */
export class DelayHeap {
  readonly #heap: Entry[] = []
  /** The entry that counts; others of the key are dropped when they surface. */
  readonly #current = new Map<Key, Entry>()

  add(key: Key, at: number): void {
    const present = this.#current.get(key)
    if (present && present.at <= at) return
    const entry = { key, at }
    this.#current.set(key, entry)
    this.#heap.push(entry)
    this.#rise(this.#heap.length - 1)
  }

  delete(key: Key): void {
    this.#current.delete(key)
  }

  get nextAt(): number | undefined {
    this.#dropStale()
    return this.#heap[0]?.at
  }

  takeDue(now: number): Key[] {
    const due: Key[] = []
    for (let next = this.nextAt; next !== undefined && next <= now; next = this.nextAt) {
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
