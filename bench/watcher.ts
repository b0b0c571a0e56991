import { setTimeout as sleep } from 'node:timers/promises'
import type { Api, Seen } from './api.ts'

/** When an operator has said all it has to say of the generation it was given. */
export type Done = (object: Seen) => boolean
export const synced: Done = ({ metadata, status }) => status?.observedGeneration === metadata.generation
/** Of a backend that has instances: it runs, and its agent has registered. An external agent never does here. */
export const ready: Done = (object) =>
  synced(object) &&
  object.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true

interface Waiter {
  readonly name: string
  readonly generation: number
  readonly resolve: (at: number) => void
}

/**
 * Follows every Workspace by one watch and knows when each became done, by this process's monotonic clock. The API
 * server ends slow watches under load, so it resumes from the last version seen.
 */
export class Watcher {
  readonly #api: Api
  readonly #done: Done
  readonly #stop = new AbortController()
  readonly #doneAt = new Map<string, { generation: number; at: number }>()
  readonly #waiters = new Set<Waiter>()
  #running: Promise<void> = Promise.resolve()
  #failure: Error | undefined

  private constructor(api: Api, done: Done) {
    this.#api = api
    this.#done = done
  }

  static async start(api: Api, done: Done): Promise<Watcher> {
    const watcher = new Watcher(api, done)
    const { items, resourceVersion } = await api.list()
    for (const item of items) watcher.#see(item)
    watcher.#running = watcher.#follow(resourceVersion)
    return watcher
  }

  /** How many are done at their newest generation. */
  get done(): number {
    return this.#doneAt.size
  }

  /** Resolves with the time at which the object was done at this generation or a later one. */
  async until(name: string, generation: number, deadline = 60_000): Promise<number> {
    const known = this.#doneAt.get(name)
    if (known && known.generation >= generation) return known.at
    const { promise, resolve } = Promise.withResolvers<number>()
    const waiter = { name, generation, resolve }
    this.#waiters.add(waiter)
    const patience = new AbortController()
    const late = sleep(deadline, undefined, { signal: patience.signal }).then(() => {
      throw new Error(`${name} was not done at generation ${generation} after ${deadline} ms`)
    })
    try {
      return await Promise.race([promise, late])
    } finally {
      this.#waiters.delete(waiter)
      late.catch(() => undefined)
      patience.abort()
    }
  }

  /** Resolves with the time at which the last of `count` objects became done. */
  async untilDone(count: number, deadline: number): Promise<number> {
    const end = performance.now() + deadline
    while (this.done < count) {
      if (this.#failure) throw this.#failure
      if (performance.now() > end) throw new Error(`${this.done} of ${count} were done after ${deadline} ms`)
      await sleep(5)
    }
    return Math.max(...[...this.#doneAt.values()].map(({ at }) => at))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #follow(from: string): Promise<void> {
    let version = from
    while (!this.#stop.signal.aborted) {
      try {
        for await (const { type, object } of this.#api.watch(version, this.#stop.signal)) {
          if (type === 'ERROR') throw new Error(`the watch said ${JSON.stringify(object)}`)
          version = object.metadata.resourceVersion
          if (type === 'DELETED') this.#doneAt.delete(object.metadata.name)
          else if (type !== 'BOOKMARK') this.#see(object)
        }
      } catch (error) {
        if (this.#stop.signal.aborted) return
        if (String(error).includes('Expired')) this.#failure = new Error('the rig lost its watch', { cause: error })
        await sleep(20)
      }
    }
  }

  #see(object: Seen): void {
    const { name, generation } = object.metadata
    if (!this.#done(object)) {
      this.#doneAt.delete(name)
      return
    }
    const at = performance.now()
    if (this.#doneAt.get(name)?.generation !== generation) this.#doneAt.set(name, { generation, at })
    for (const waiter of this.#waiters) if (waiter.name === name && generation >= waiter.generation) waiter.resolve(at)
  }
}
