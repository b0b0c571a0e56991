import type { Key } from '../api/meta.ts'
import { milliseconds, minutes, seconds, type Duration } from '../duration.ts'
import { KeyHeap } from './key-heap.ts'
import { exponential, jitter } from './timing.ts'

/** A change goes before any resync, so that 10,000 routine looks never delay one edit. */
export type Priority = 'change' | 'resync'

export interface QueueOptions {
  readonly backoff?: { readonly base: Duration; readonly most: Duration }
  /** Told when a worker takes a key, with how long it waited. */
  readonly onWait?: (waited: Duration) => void
}

/**
 * Keys to look at. A key is handed to one worker at a time; added while being worked on, it comes again once, after
 * `done`. So no change is lost, bursts collapse, and workers need no locks.
 */
export class Queue {
  /** Keys that want a worker, with the time and priority of the first wish. */
  readonly #dirty = new Map<Key, { readonly since: number; priority: Priority }>()
  readonly #processing = new Set<Key>()
  readonly #ready: Record<Priority, Fifo> = { change: new Fifo(), resync: new Fifo() }
  readonly #failures = new Map<Key, number>()
  readonly #delayed = new KeyHeap()
  readonly #idle: ((key: Key | undefined) => void)[] = []
  readonly #backoff: { readonly base: Duration; readonly most: Duration }
  readonly #onWait: (waited: Duration) => void
  #timer: NodeJS.Timeout | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #stopped = false

  constructor(options: QueueOptions = {}) {
    this.#backoff = options.backoff ?? { base: seconds(1), most: minutes(5) }
    this.#onWait = options.onWait ?? (() => undefined)
  }

  /** Keys that wait for a worker now; delayed ones are not counted. */
  get depth(): number {
    return this.#dirty.size
  }

  add(key: Key, priority: Priority = 'change'): void {
    if (this.#stopped) return
    const wish = this.#dirty.get(key)
    if (wish && (wish.priority === priority || priority === 'resync')) return
    this.#dirty.set(key, { since: wish?.since ?? performance.now(), priority })
    if (!this.#processing.has(key)) this.#offer(key, priority)
  }

  /** Adds the key after `span`; of several such wishes the earliest counts. A pass in between answers them all. */
  addAfter(key: Key, span: Duration): void {
    if (this.#stopped) return
    if (span <= 0) return this.add(key)
    this.#delayed.add(key, performance.now() + span)
    this.#arm()
  }

  /** Adds the key after its next backoff (full jitter); returns how often it has failed in a row. */
  addBackoff(key: Key): number {
    const failures = (this.#failures.get(key) ?? 0) + 1
    this.#failures.set(key, failures)
    this.addAfter(key, milliseconds(1 + jitter(exponential(failures, this.#backoff.base, this.#backoff.most))))
    return failures
  }

  /** Ends the key's row of failures. */
  forget(key: Key): void {
    this.#failures.delete(key)
  }

  /** The next key, when there is one; undefined once the queue is stopped. Every key must be given back by `done`. */
  take(): Promise<Key | undefined> {
    if (this.#stopped) return Promise.resolve(undefined)
    const key = this.#next()
    if (key !== undefined) return Promise.resolve(key)
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  done(key: Key): void {
    this.#processing.delete(key)
    const wish = this.#dirty.get(key)
    if (wish) this.#offer(key, wish.priority)
  }

  /** Hands out nothing more; workers waiting for a key get undefined. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    for (const resolve of this.#idle.splice(0)) resolve(undefined)
  }

  #offer(key: Key, priority: Priority): void {
    this.#ready[priority].push(key)
    if (this.#stopped || this.#idle.length === 0) return
    const next = this.#next()
    if (next !== undefined) this.#idle.shift()?.(next)
  }

  #next(): Key | undefined {
    for (const fifo of [this.#ready.change, this.#ready.resync]) {
      for (let key = fifo.shift(); key !== undefined; key = fifo.shift()) {
        const wish = this.#dirty.get(key)
        // Offered twice (raised from resync to change) and taken already.
        if (!wish || this.#processing.has(key)) continue
        this.#dirty.delete(key)
        this.#processing.add(key)
        // The pass about to begin looks at everything: what was asked for later is asked for again by its outcome.
        this.#delayed.delete(key)
        this.#onWait(milliseconds(performance.now() - wish.since))
        return key
      }
    }
    return undefined
  }

  /** One timer for all delayed keys. */
  #arm(): void {
    const at = this.#delayed.next?.at
    if (at === undefined || at >= this.#timerAt) return
    clearTimeout(this.#timer)
    this.#timerAt = at
    this.#timer = setTimeout(() => this.#due(), Math.max(0, at - performance.now()))
  }

  #due(): void {
    this.#timerAt = Number.POSITIVE_INFINITY
    // Timers fire up to a millisecond early.
    for (const key of this.#delayed.takeDue(performance.now() + 1)) this.add(key)
    this.#arm()
  }
}

/** First in, first out, without moving what is left at each take. */
class Fifo {
  #items: (Key | undefined)[] = []
  #head = 0

  push(key: Key): void {
    this.#items.push(key)
  }

  shift(): Key | undefined {
    if (this.#head >= this.#items.length) return undefined
    const key = this.#items[this.#head]
    this.#items[this.#head++] = undefined
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return key
  }
}
