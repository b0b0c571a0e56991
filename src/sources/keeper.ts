/**
 * Keeps what was fetched. One entry a source, however many follow it; a few fetches at once, shared fairly between
 * namespaces; failures tried again later and later; Git looked at anew every interval. Timers wake the followers, and their look does the rest: a source that
 * nobody looks at any more costs nothing.
 */
import { milliseconds, minutes, seconds, type Duration } from '../duration.ts'
import { reasonOf } from '../errors.ts'
import { SourceError, type Fetched, type Sight, type SourceRequest, type Sources, type TextFolder } from './source.ts'
import { asTexts } from './texts.ts'

/** Reads a source whole, or says that it still is at the revision `known`. Throws a SourceError. */
export type Fetch = (
  request: SourceRequest,
  known: string | undefined,
  signal: AbortSignal,
) => Promise<Fetched | 'unchanged'>

export interface KeeperOptions {
  readonly fetch: Fetch
  /** A follower should look again. */
  readonly wake: (follower: string) => void
  readonly observe?: (kind: SourceRequest['kind'], result: 'fetched' | 'unchanged' | SourceError['fault']) => void
  readonly time: Duration
  /** Four unless given. One namespace has at most all of them but one. */
  readonly atOnce?: number
}

interface Entry {
  readonly key: string
  readonly request: SourceRequest
  readonly followers: Set<string>
  folder?: TextFolder
  error?: SourceError
  failures: number
  running: boolean
  /** On the monotonic clock; Infinity when only another request can give another answer. */
  dueAt: number
  timer?: NodeJS.Timeout
}

/** A later failure is not worth a shorter wait than this. */
const longestBackoff = minutes(5)
/** setTimeout takes no more. */
const longestTimer = 2 ** 31 - 1

export class Keeper implements Sources {
  readonly #options: KeeperOptions
  readonly #entries = new Map<string, Entry>()
  /** Follower to what it looked at last in each of its slots. */
  readonly #follows = new Map<string, Map<string, Entry>>()
  readonly #waiting: Entry[] = []
  readonly #ending = new AbortController()
  #running = 0
  /** Of those that run, by the namespace for which they do. */
  readonly #runningFor = new Map<string, number>()

  constructor(options: KeeperOptions) {
    this.#options = options
  }

  look(request: SourceRequest, follower: string, slot = ''): Sight {
    const entry = this.#entryOf(request)
    const slots = this.#follows.get(follower) ?? new Map<string, Entry>()
    const before = slots.get(slot)
    this.#follows.set(follower, slots.set(slot, entry))
    entry.followers.add(follower)
    if (before !== undefined && before !== entry) this.#leave(before, follower)
    if (!entry.running && performance.now() >= entry.dueAt) this.#begin(entry)
    if (entry.folder) return { state: 'fetched', folder: entry.folder, trouble: entry.error }
    return entry.error ? { state: 'failed', error: entry.error } : { state: 'fetching' }
  }

  retain(follower: string, slots: ReadonlySet<string>): void {
    const follows = this.#follows.get(follower)
    for (const [slot, entry] of follows ?? []) {
      if (slots.has(slot)) continue
      follows?.delete(slot)
      this.#leave(entry, follower)
    }
    if (follows?.size === 0) this.#follows.delete(follower)
  }

  /** Until the signal aborts; then every fetch ends. */
  async run(signal: AbortSignal): Promise<void> {
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    this.#ending.abort()
    for (const { timer } of this.#entries.values()) clearTimeout(timer)
  }

  #entryOf(request: SourceRequest): Entry {
    const key = keyOf(request)
    const present = this.#entries.get(key)
    if (present) return present
    const entry: Entry = { key, request, followers: new Set(), failures: 0, running: false, dueAt: 0 }
    this.#entries.set(key, entry)
    return entry
  }

  #leave(entry: Entry, follower: string): void {
    const elsewhere = this.#follows.get(follower)?.values() ?? []
    if (Iterator.from(elsewhere).some((each) => each === entry)) return
    entry.followers.delete(follower)
    if (entry.followers.size > 0) return
    clearTimeout(entry.timer)
    this.#entries.delete(entry.key)
    const waiting = this.#waiting.indexOf(entry)
    if (waiting >= 0) this.#waiting.splice(waiting, 1)
  }

  #begin(entry: Entry): void {
    entry.running = true
    clearTimeout(entry.timer)
    this.#waiting.push(entry)
    this.#next()
  }

  #next(): void {
    const { atOnce = 4 } = this.#options
    while (this.#running < atOnce) {
      const entry = this.#nextInTurn(Math.max(1, atOnce - 1))
      if (entry === undefined) return
      const namespace = namespaceOf(entry)
      this.#count(namespace, 1)
      void this.#fetch(entry).finally(() => {
        this.#count(namespace, -1)
        this.#next()
      })
    }
  }

  /** The first of the namespace that has the fewest running: many slow sources of one do not hold up those of another. */
  #nextInTurn(most: number): Entry | undefined {
    let [next, fewest] = [-1, most]
    for (const [i, entry] of this.#waiting.entries()) {
      const running = this.#runningFor.get(namespaceOf(entry)) ?? 0
      if (running < fewest) [next, fewest] = [i, running]
      if (running === 0) break
    }
    return next < 0 ? undefined : this.#waiting.splice(next, 1)[0]
  }

  #count(namespace: string, change: 1 | -1): void {
    this.#running += change
    const running = (this.#runningFor.get(namespace) ?? 0) + change
    if (running > 0) this.#runningFor.set(namespace, running)
    else this.#runningFor.delete(namespace)
  }

  async #fetch(entry: Entry): Promise<void> {
    const { fetch, time, observe, wake } = this.#options
    const { request, folder: before, error: earlier } = entry
    const signal = AbortSignal.any([AbortSignal.timeout(time), this.#ending.signal])
    try {
      const fetched = await fetch(request, before?.revision, signal)
      if (fetched !== 'unchanged') entry.folder = asTexts(fetched, identityOf(request, fetched.revision))
      delete entry.error
      entry.failures = 0
      observe?.(request.kind, fetched === 'unchanged' ? 'unchanged' : 'fetched')
    } catch (error) {
      entry.error = asSourceError(error)
      entry.failures++
      observe?.(request.kind, entry.error.fault)
    }
    entry.running = false
    if (this.#ending.signal.aborted || entry.followers.size === 0) return
    const wait = waitOf(entry)
    entry.dueAt = performance.now() + wait
    if (wait !== Infinity) {
      // A timer counts from the beginning of its turn of the event loop, so after a long turn it comes before the clock
      // says so: it decides, or its one wake would be for nothing.
      const due = () => {
        entry.dueAt = 0
        for (const each of entry.followers) wake(each)
      }
      entry.timer = setTimeout(due, Math.min(wait + 1, longestTimer)).unref()
    }
    if (entry.folder !== before || entry.error?.message !== earlier?.message)
      for (const each of entry.followers) wake(each)
  }
}

/** Of whoever has followed it longest; a follower is the key of an object. */
function namespaceOf({ followers }: Entry): string {
  const [first = ''] = followers
  return first.slice(0, Math.max(0, first.indexOf('/')))
}

/** How long what was found is good for. */
function waitOf({ request, error, failures }: Entry): number {
  // The bytes are in the request: they will read the same for ever.
  if (request.kind === 'archive') return Infinity
  const backoff = Math.min(seconds(1) * 2 ** Math.min(failures - 1, 16), longestBackoff)
  if (request.kind === 'artifact') return error === undefined ? Infinity : jitter(backoff)
  if (error === undefined) return jitter(request.interval)
  // A retry of our own cannot mend it: it is asked no more often than the interval says.
  return jitter(
    error.fault === 'SourceUnreachable' ? backoff : Math.max(backoff, Math.min(request.interval, longestBackoff)),
  )
}

/** Imports that were made at once should not ask at once for ever. */
const jitter = (wait: number): number => milliseconds(wait * (0.95 + Math.random() / 10))

/** Never logged: credentials are part of what makes two requests differ. */
const keyOf = (request: SourceRequest): string =>
  request.kind === 'archive' ? `archive ${request.identity} ${request.path}` : JSON.stringify(request)

const identityOf = (request: SourceRequest, revision: string): string => {
  switch (request.kind) {
    case 'git':
      return `${request.url} ${request.path} ${revision}`
    case 'artifact':
      return `${request.digest} ${request.path}`
    case 'archive':
      return `${request.identity} ${request.path}`
  }
}

const asSourceError = (error: unknown): SourceError =>
  error instanceof SourceError
    ? error
    : new SourceError('SourceInvalid', `it cannot be read: ${reasonOf(error)}`, { cause: error })
