import { keyOf, type Key, type KubeObject } from '../api/meta.ts'
import { milliseconds, seconds, type Duration } from '../duration.ts'
import type { Change, Client, ResourceType } from './client.ts'
import { KubeError } from './kube-error.ts'
import type { StatusOf, Trouble, Verdict } from './reconciler.ts'
import { isReady, patchBetween, sameStatus, stalledAlike, statusOf, troubledStatusOf } from './status.ts'

export interface ReportOptions<T extends KubeObject> {
  readonly client: Client
  readonly type: ResourceType<T>
  /** How long an object may be on its way before that is worth a write. */
  readonly quiet?: Duration
  readonly onWrite?: () => void
}

export type Reported =
  | { readonly kind: 'unchanged' | 'gone' }
  /**
   * `disputed`: the status has parts of another writer, which the next pass takes back. What an older CRD drops of a status
   * is no dispute: a write that changes nothing is not repeated. `news`: what stalls the object is not what stalled it before.
   */
  | { readonly kind: 'written'; readonly disputed: boolean; readonly news: boolean }
  /** Nothing written yet: the news may be out of date within `after`. */
  | { readonly kind: 'deferred'; readonly after: Duration }

/** Writes a status when its meaning changed, as one merge patch of what changed. */
export class Reporter<T extends KubeObject> {
  readonly #client: Client
  readonly #type: ResourceType<T>
  readonly #quiet: Duration
  readonly #onWrite: () => void
  /** Since when a key has been on its way without being ready. */
  readonly #underway = new Map<Key, number>()
  /** Keys whose status is being written: what changes meanwhile is compared when the answer is there. */
  readonly #writing = new Set<Key>()

  constructor(options: ReportOptions<T>) {
    this.#client = options.client
    this.#type = options.type
    this.#quiet = options.quiet ?? seconds(1)
    this.#onWrite = options.onWrite ?? (() => undefined)
  }

  /** Reports how a pass on this very object ended. */
  async report(object: T, verdict: Verdict<StatusOf<T>>, now: Date, reconcileId?: string): Promise<Reported> {
    const status = this.#fit(statusOf(object, verdict.status, verdict.outcome, now, reconcileId))
    const patch = patchBetween(object.status, status)
    const key = keyOf(object)
    if (verdict.outcome.kind !== 'again') this.#underway.delete(key)
    if (!patch) return { kind: 'unchanged' }
    if (verdict.outcome.kind === 'again' && !isReady(status)) {
      const wait = this.#quietFor(key, object)
      if (wait > 0) return { kind: 'deferred', after: wait }
    }
    return await this.#write(object, patch, status)
  }

  /** Whether another than this reporter changed the status: whoever may patch it could have written anything. */
  isForeign({ key, before, after }: Change<T>): boolean {
    if (before === undefined || after === undefined || this.#writing.has(key)) return false
    return !sameStatus(before.status, after.status)
  }

  /** Reports a pass that ended by a throw. Of a wait only where somebody waits with us, and when it lasts. */
  async reportTrouble(object: T, trouble: Trouble, now: Date): Promise<Reported> {
    const told = this.#fit(troubledStatusOf(object, trouble, now))
    const patch = patchBetween(object.status, told)
    if (!patch) return { kind: 'unchanged' }
    const key = keyOf(object)
    if (trouble.kind === 'waiting') {
      const status = object.status as StatusOf<T> | undefined
      if (status?.observedGeneration === object.metadata.generation) return { kind: 'unchanged' }
      const wait = this.#quietFor(key, object)
      if (wait > 0) return { kind: 'deferred', after: wait }
    }
    return await this.#write(object, patch, told)
  }

  /** The one place through which every status goes: no text that is chosen elsewhere makes it one that is refused. */
  #fit(status: object): Record<string, unknown> {
    return { ...(this.#type.fit?.(status) ?? status) }
  }

  forget(key: Key): void {
    this.#underway.delete(key)
  }

  /**
   * Only the way to a new generation is quiet. That something which was ready no longer is must be said at once.
   */
  #quietFor(key: Key, object: T): Duration {
    const status = object.status as StatusOf<T> | undefined
    const brokeDown = isReady(status) && status?.observedGeneration === object.metadata.generation
    if (brokeDown) return milliseconds(0)
    const since = this.#underway.get(key) ?? performance.now()
    this.#underway.set(key, since)
    return milliseconds(Math.max(0, since + this.#quiet - performance.now()))
  }

  /** Not tied to the signal of the pass: a pass that ran out of time still says so. The client has its own deadline. */
  async #write(object: T, patch: object, status: object): Promise<Reported> {
    const key = keyOf(object)
    this.#writing.add(key)
    try {
      const answer = await this.#client.mergePatchStatus(this.#type, key, { status: patch })
      this.#onWrite()
      const disputed = !sameStatus(answer.status, status) && !sameStatus(answer.status, object.status)
      return { kind: 'written', disputed, news: !stalledAlike(object.status, status) }
    } catch (error) {
      if (error instanceof KubeError && error.isNotFound) return { kind: 'gone' }
      throw error
    } finally {
      this.#writing.delete(key)
    }
  }
}
