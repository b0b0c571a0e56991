import { randomUUID } from 'node:crypto'
import { keyOf, type KubeObject } from '../api/meta.ts'
import { seconds, type Duration } from '../duration.ts'
import type { Fence } from '../fence.ts'
import type { Logger } from '../telemetry/log.ts'
import { oneLine } from '../text.ts'
import type { Client } from './client.ts'
import type { Events } from './events.ts'
import { claim, release } from './finalizer.ts'
import type { Informer } from './informer.ts'
import { KubeError } from './kube-error.ts'
import type { Context } from './reconciler.ts'
import type { Reported } from './report.ts'

export interface PassOptions<T extends KubeObject> {
  /** Where the objects come from. */
  readonly informer: Informer<T>
  readonly client: Client
  readonly fence: Fence
  readonly events: Events
  /** Time of one pass until its signal aborts; the report of it has the client's own deadline on top. */
  readonly deadline?: Duration
}

/** One pass: its context, and what happened in it that decides how it ends. */
export class Pass<T extends KubeObject> {
  readonly context: Context
  released = false
  /** The log says what came of it. */
  told = false
  /** The object was gone when we wanted to claim it. */
  gone = false
  readonly #options: PassOptions<T>
  readonly #object: T
  readonly #log: Logger
  #timer: NodeJS.Timeout | undefined

  constructor(options: PassOptions<T>, object: T, log: Logger, stopping: AbortSignal) {
    this.#options = options
    this.#object = object
    this.#log = log
    const began = performance.now()
    const reconcileId = randomUUID()
    const aborting = () => this.#aborting(stopping, began)
    let signal: AbortSignal | undefined
    let own: Logger | undefined
    this.context = {
      // Most passes call nothing that can be aborted and say nothing: a signal and a child logger cost as much as a row.
      get signal() {
        return (signal ??= aborting())
      },
      reconcileId,
      get log() {
        return (own ??= log.child({ key: keyOf(object), uid: object.metadata.uid, reconcileId }))
      },
      fence: options.fence,
      now: () => new Date(),
      claim: () => this.#claim(),
      release: () => this.#release(),
      event: (type, reason, message) => {
        if (this.#emit(type, reason, message)) this.#logEvent(type, reason, message)
      },
    }
  }

  /** A line of the log under the id of this pass. */
  say(level: 'info' | 'warn', fields: object, message: string): void {
    const { metadata } = this.#object
    const { reconcileId } = this.context
    this.#log[level]({ key: keyOf(this.#object), uid: metadata.uid, reconcileId, ...fields }, message)
  }

  /** One Warning a change of mind, not one a pass, nor one for each write while the verdict is the same. */
  warn(reported: Reported, { reason, message }: { readonly reason: string; readonly message: string }): void {
    if (reported.kind !== 'written' || !reported.news) return
    if (this.#emit('Warning', reason, message) && !this.told) this.#logEvent('Warning', reason, message)
  }

  #emit(type: 'Normal' | 'Warning', reason: string, message: string): boolean {
    return this.#options.events.emit(this.#object, type, reason, message, this.context.reconcileId)
  }

  /** Under the id that the event carries: events are kept for an hour, and logs for longer. */
  #logEvent(type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.say(type === 'Warning' ? 'warn' : 'info', { reason, message: oneLine(message) }, 'event told')
  }

  #aborting(stopping: AbortSignal, began: number): AbortSignal {
    const abort = new AbortController()
    const left = (this.#options.deadline ?? seconds(60)) - (performance.now() - began)
    this.#timer = setTimeout(() => abort.abort(new Error('the pass took too long')), Math.max(0, left))
    return AbortSignal.any([stopping, abort.signal])
  }

  end(): void {
    clearTimeout(this.#timer)
  }

  async #claim(): Promise<void> {
    try {
      await claim(this.#options.client, this.#options.informer.type, this.#object)
    } catch (error) {
      this.gone = error instanceof KubeError && error.isNotFound
      throw error
    }
  }

  async #release(): Promise<void> {
    await release(this.#options.client, this.#options.informer.type, this.#object)
    this.released = true
  }
}
