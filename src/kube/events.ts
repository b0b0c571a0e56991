import { createHash } from 'node:crypto'
import { reconcileIdAnnotation, type KubeObject } from '../api/meta.ts'
import { minutes, seconds } from '../duration.ts'
import { reasonOf } from '../errors.ts'
import type { Fence } from '../fence.ts'
import { cut, oneLine } from '../text.ts'
import type { Logger } from '../telemetry/log.ts'
import { KubeError } from './kube-error.ts'
import { microTime } from './micro-time.ts'
import type { Transport } from './transport.ts'

export interface EventsOptions {
  readonly transport: Transport
  readonly fence: Fence
  /** `molecule.dev/operator` and the like. */
  readonly controller: string
  /** Which replica. */
  readonly instance: string
  readonly log: Logger
}

interface Told {
  readonly name: string
  readonly namespace: string
  count: number
  lastAt: number
  sentAt: number
}

/**
 * Tokens of the whole process: a burst, then a slow rate. What is over it is not sent: events are hints for people. Warnings
 * have tokens of their own, and more of them, so that what goes well keeps none from being told.
 */
const burst = { Normal: 25, Warning: 100 }
const perSecond = 5
/** How long the same news is the same series. */
const seriesAge = minutes(10)
/** How often the count of a series is brought up to date. */
const seriesUpdate = minutes(1)
const mostSeries = 2000

/**
 * Says to people what has happened (events.k8s.io/v1). The same news about the same object is one event with a count,
 * under a name made from its content, so that a restarted operator does not say it all again.
 */
export class Events {
  readonly #options: EventsOptions
  readonly #told = new Map<string, Told>()
  readonly #tokens = { ...burst }
  #filledAt = performance.now()

  constructor(options: EventsOptions) {
    this.#options = options
  }

  /**
   * Never throws and never waits. `reconcileId` joins the event with the log lines of the pass. Returns whether this is a
   * new event, under that id; else it is counted in one that was told before, or there were too many.
   */
  emit(object: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string, reconcileId?: string): boolean {
    const now = performance.now()
    const note = noteOf(message)
    const id = createHash('sha256')
      .update([object.metadata.uid, type, reason, note].join('\0'))
      .digest('hex')
      .slice(0, 16)
    const known = this.#told.get(id)
    if (known && now - known.lastAt < seriesAge) {
      known.count++
      known.lastAt = now
      if (now - known.sentAt >= seriesUpdate && this.#mayTell(type, now)) this.#send(this.#repeat(id, known, now))
      return false
    }
    if (!this.#mayTell(type, now)) return false
    const namespace = object.metadata.namespace ?? 'default'
    const told = { name: `${object.metadata.name.slice(0, 230)}.${id}`, namespace, count: 1, lastAt: now, sentAt: now }
    this.#told.delete(id)
    this.#told.set(id, told)
    this.#bound()
    this.#send(this.#first(id, told, object, { type, reason, note }, reconcileId))
    return true
  }

  async #first(
    id: string,
    told: Told,
    object: KubeObject,
    news: { readonly type: string; readonly reason: string; readonly note: string },
    reconcileId: string | undefined,
  ): Promise<void> {
    const { controller, instance, transport, fence } = this.#options
    const { name, namespace, uid, resourceVersion } = object.metadata
    const body = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: {
        name: told.name,
        namespace: told.namespace,
        // Of the pass that said it first: a series goes on under the same event.
        ...(reconcileId !== undefined && { annotations: { [reconcileIdAnnotation]: reconcileId } }),
      },
      eventTime: microTime(new Date()),
      reportingController: controller,
      reportingInstance: instance,
      action: 'Reconcile',
      ...news,
      regarding: {
        apiVersion: object.apiVersion,
        kind: object.kind,
        name,
        uid,
        resourceVersion,
        ...(namespace !== undefined && { namespace }),
      },
    }
    try {
      await transport.send({ method: 'POST', path: collection(told.namespace), verb: 'event', body, fence })
    } catch (error) {
      // Said before this process began: nothing new for anyone.
      if (error instanceof KubeError && error.isAlreadyExists) return
      // There is no event to count in: the same news makes one.
      this.#told.delete(id)
      throw error
    }
  }

  async #repeat(id: string, told: Told, now: number): Promise<void> {
    const { transport, fence } = this.#options
    told.sentAt = now
    const body = { series: { count: told.count, lastObservedTime: microTime(new Date()) } }
    const path = `${collection(told.namespace)}/${told.name}`
    const contentType = 'application/merge-patch+json'
    try {
      await transport.send({ method: 'PATCH', path, verb: 'event', body, contentType, fence })
    } catch (error) {
      // Deleted, or lost with a store that was put back: the same news makes another.
      if (error instanceof KubeError && error.isNotFound) this.#told.delete(id)
      throw error
    }
  }

  #send(sending: Promise<void>): void {
    sending.catch((error: unknown) => this.#options.log.debug({ cause: reasonOf(error) }, 'event not sent'))
  }

  #mayTell(type: keyof typeof burst, now: number): boolean {
    const gained = ((now - this.#filledAt) / seconds(1)) * perSecond
    this.#filledAt = now
    for (const each of ['Normal', 'Warning'] as const)
      this.#tokens[each] = Math.min(burst[each], this.#tokens[each] + gained)
    if (this.#tokens[type] < 1) return false
    this.#tokens[type]--
    return true
  }

  #bound(): void {
    const [oldest] = this.#told.keys()
    if (this.#told.size > mostSeries && oldest !== undefined) this.#told.delete(oldest)
  }
}

/** The API server counts bytes of UTF-8, and there are at most three in a UTF-16 unit. */
const noteOf = (message: string): string => {
  const line = oneLine(message)
  return Buffer.byteLength(line) <= 1024 ? line : cut(line, 341)
}

const collection = (namespace: string): string => `/apis/events.k8s.io/v1/namespaces/${namespace}/events`
