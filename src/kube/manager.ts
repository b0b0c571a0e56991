import { setTimeout as delay } from 'node:timers/promises'
import { seconds, type Duration } from '../duration.ts'
import { reasonOf } from '../errors.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Kube } from './kube.ts'
import type { Leader } from './leader.ts'
import type { Probes } from './probes.ts'

/** Anything that runs until its signal aborts: a controller, a server, a sweeper. Ending earlier, or throwing, ends all. */
export interface Runnable {
  readonly name: string
  /** Runs only while this process leads. Others begin before there is a leader, and end after it has stopped. */
  readonly leaderOnly: boolean
  start(signal: AbortSignal): Promise<void>
}

export interface ManagerOptions {
  readonly kube: Kube
  readonly leader: Leader
  readonly probes: Probes
  readonly log: Logger
  /** For the whole stop; what has not ended then is left behind. */
  readonly stopDeadline?: Duration
}

/** One group of things that run together, ended together by their own signal. */
interface Running {
  readonly abort: AbortController
  readonly ended: Promise<unknown>
}

/**
 * Starts in order: probes, runnables without a leader, caches, the lease, controllers. Stops in reverse, the lease last
 * but for the caches' connections: nobody else may lead while a pass is still under way.
 */
export class Manager {
  readonly #options: ManagerOptions
  readonly #runnables: Runnable[] = []
  readonly #failure = Promise.withResolvers<never>()

  constructor(options: ManagerOptions) {
    this.#options = options
    this.#failure.promise.catch(() => undefined)
    options.leader.onBreak(() => options.kube.relist())
  }

  add(runnable: Runnable): void {
    this.#runnables.push(runnable)
  }

  /**
   * Runs until the signal aborts (resolves), or something failed or the lease was lost (throws why, after the stop). The
   * process must then end: nothing here can be started again.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { kube, leader, probes, log, stopDeadline = seconds(9) } = this.#options
    const started: (() => Promise<unknown>)[] = []
    const stopping = Promise.withResolvers<void>()
    signal.addEventListener('abort', () => stopping.resolve(), { once: true })
    try {
      await probes.start()
      started.push(() => probes.stop())
      started.push(this.#stopOf(this.#begin('everyone')))
      started.push(() => kube.close())
      started.push(this.#stopOf(this.#group([{ name: 'caches', start: (end) => kube.start(end) }])))
      await this.#until(signal, Promise.all(kube.required.map((informer) => informer.synced)))
      const lease = new AbortController()
      started.push(async () => {
        lease.abort()
        await leader.release()
      })
      await this.#until(signal, leader.acquire(AbortSignal.any([signal, lease.signal])))
      if (!signal.aborted) {
        started.push(this.#stopOf(this.#group([{ name: 'lease', start: (end) => leader.hold(end) }])))
        started.push(this.#stopOf(this.#begin('leader')))
        await this.#until(signal, stopping.promise)
      }
    } finally {
      log.info('stopping')
      const late = await Promise.race([this.#stop(started), delay(stopDeadline, 'late' as const, { ref: false })])
      if (late === 'late') log.error('stop took too long: what still runs is left behind')
    }
  }

  #begin(who: 'everyone' | 'leader'): Running {
    return this.#group(this.#runnables.filter(({ leaderOnly }) => leaderOnly === (who === 'leader')))
  }

  #group(runnables: readonly Omit<Runnable, 'leaderOnly'>[]): Running {
    const abort = new AbortController()
    const ended = Promise.all(runnables.map((runnable) => this.#watchOver(runnable, abort.signal)))
    return { abort, ended }
  }

  async #watchOver(runnable: Omit<Runnable, 'leaderOnly'>, signal: AbortSignal): Promise<void> {
    const { log } = this.#options
    try {
      await runnable.start(signal)
      if (!signal.aborted) throw new Error('ended by itself')
    } catch (cause) {
      log.error({ runnable: runnable.name, cause: reasonOf(cause) }, 'runnable failed')
      this.#failure.reject(cause)
    }
  }

  #stopOf({ abort, ended }: Running): () => Promise<unknown> {
    return async () => {
      abort.abort()
      await ended
    }
  }

  /** Waits, but not longer than until the signal aborts; throws as soon as anything fails. */
  async #until(signal: AbortSignal, what: Promise<unknown>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const done = () => resolve()
    signal.addEventListener('abort', done, { once: true })
    if (signal.aborted) done()
    try {
      await Promise.race([what, promise, this.#failure.promise])
    } finally {
      signal.removeEventListener('abort', done)
    }
  }

  async #stop(started: readonly (() => Promise<unknown>)[]): Promise<void> {
    for (const stop of started.toReversed()) {
      await stop().catch((error: unknown) => this.#options.log.error({ cause: reasonOf(error) }, 'stop failed'))
    }
  }
}
