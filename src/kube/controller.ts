import { keyOf, type Key, type KubeObject } from '../api/meta.ts'
import { milliseconds, minutes, seconds, type Duration } from '../duration.ts'
import { Fenced, reasonOf, RetryAfter, Terminal, Unavailable } from '../errors.ts'
import { failpoint } from '../failpoint.ts'
import type { Logger } from '../telemetry/log.ts'
import type { ControllerName, Metrics } from '../telemetry/metrics.ts'
import type { Span, SpanDetails } from '../telemetry/span.ts'
import { traced } from '../telemetry/trace.ts'
import type { Change } from './client.ts'
import { hasFinalizer } from './finalizer.ts'
import { KubeError } from './kube-error.ts'
import { Pass, type PassOptions } from './pass.ts'
import { Queue, type Priority } from './queue.ts'
import type { Outcome, Reconciler, Trouble } from './reconciler.ts'
import { limitOf } from './reduced.ts'
import { Reporter, type Reported } from './report.ts'
import { sleep } from './timing.ts'
import { standingOf, Verdicts, type Standing } from './verdicts.ts'

export interface ControllerOptions<T extends KubeObject> extends PassOptions<T> {
  readonly name: ControllerName
  readonly reconciler: Reconciler<T>
  readonly log: Logger
  readonly metrics: Metrics
  /** Passes at once. Most of them wait for something. */
  readonly workers?: number
  /** How often every object is looked at without cause. */
  readonly resync?: Duration
  readonly quiet?: Duration
}

/** Failures in a row after which people are told: one is a hiccup. */
const patience = 3

type Ending = 'settled' | 'again' | 'blocked' | 'unavailable' | 'error' | 'conflict' | 'skipped'

/** Between two tries while the API server is away: steady, so that all goes on soon after it is back. */
const away = seconds(2)

/** A status that another has written is put right after this long, so that two writers do not race each other. */
const takeBack = seconds(1)

/** More keys of one change than this come behind whatever else changed. */
const many = 100

/**
 * Runs a reconciler over the objects of one kind: keys in from watches, one pass a key at a time, the outcome back into
 * the queue. It decides nothing about the object itself.
 */
export class Controller<T extends KubeObject> {
  readonly name: ControllerName
  readonly #options: ControllerOptions<T>
  readonly #queue: Queue
  readonly #reporter: Reporter<T>
  readonly #log: Logger
  readonly #verdicts: Verdicts
  /** Keys that are kept in outline and wait to be looked at whole, the longest waiting first. */
  readonly #outlines = new Set<Key>()
  #wholeUnderWay = false

  constructor(options: ControllerOptions<T>) {
    const { name, metrics, client, informer, quiet } = options
    this.name = name
    this.#options = options
    this.#log = options.log.child({ controller: name })
    this.#verdicts = new Verdicts({ controller: name, metrics })
    this.#queue = new Queue({ onWait: (waited) => metrics.queueWait.observe({ controller: name }, waited / 1000) })
    const onWrite = () => metrics.statusWrites.inc({ controller: name })
    this.#reporter = new Reporter({ client, type: informer.type, onWrite, ...(quiet !== undefined && { quiet }) })
  }

  /** Asks for a pass; from anywhere, as often as one likes. */
  enqueue(key: Key, priority: Priority = 'change'): void {
    this.#queue.add(key, priority)
  }

  /** Brings those metrics up to date that are only worth knowing when somebody looks. */
  observe(): void {
    this.#options.metrics.queueDepth.set({ controller: this.name }, this.#queue.depth)
    this.#verdicts.observe()
  }

  /** Asks for a pass after `span`; of several such wishes the earliest counts. */
  enqueueAfter(key: Key, span: Duration): void {
    this.#queue.addAfter(key, span)
  }

  /** Makes passes of changes elsewhere: `map` gives the keys that a change of another kind concerns. */
  watch<C>(source: Source<C>, map: (change: C) => Iterable<Key>): void {
    source.onChange((change) => {
      const keys = [...map(change)]
      // What concerns a great many at once is nobody's own edit: whoever waits for one is served before them.
      const priority = keys.length > many ? 'resync' : 'change'
      for (const key of keys) this.enqueue(key, priority)
    })
  }

  /** Works until the signal aborts, and then until the passes under way have ended. Throws `Fenced`, nothing else. */
  async start(signal: AbortSignal): Promise<void> {
    const { informer, workers = 64, resync = minutes(10) } = this.#options
    await Promise.race([informer.synced, aborted(signal)])
    if (signal.aborted) return
    // What is there already waits behind whatever changes from now on: after a restart an edit is not the ten-thousandth.
    for (const object of informer.cache.values()) this.enqueue(keyOf(object), 'resync')
    informer.onChange((change) => this.#onOwnChange(change))
    const stop = new AbortController()
    const ending = AbortSignal.any([signal, stop.signal])
    ending.addEventListener('abort', () => this.#queue.stop(), { once: true })
    const resyncing = this.#resync(resync, ending)
    try {
      await Promise.all(Array.from({ length: workers }, () => this.#work(ending)))
    } finally {
      stop.abort()
      await resyncing
    }
  }

  #onOwnChange(change: Change<T>): void {
    if (change.after === undefined) {
      this.#queue.forget(change.key)
      this.#reporter.forget(change.key)
      this.#verdicts.forget(change.key)
    } else if (isWorthAPass(change.before, change.after)) this.enqueue(change.key)
    else if (this.#reporter.isForeign(change)) this.enqueueAfter(change.key, takeBack)
  }

  /** Every object in turn, behind all changes. Reads nothing but the cache. */
  async #resync(interval: Duration, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep((interval * (0.9 + Math.random() / 5)) as Duration, signal)
      if (signal.aborted) return
      for (const object of this.#options.informer.cache.values()) this.enqueue(keyOf(object), 'resync')
    }
  }

  async #work(signal: AbortSignal): Promise<void> {
    for (let key = await this.#queue.take(); key !== undefined; key = await this.#queue.take()) {
      const began = performance.now()
      try {
        const ending = await traced('pass', this.#spanOf(key), (span) => this.#pass(key, signal, span))
        this.#options.metrics.reconciles.inc({ controller: this.name, outcome: ending })
      } finally {
        this.#queue.done(key)
        this.#options.metrics.reconcileSeconds.observe({ controller: this.name }, (performance.now() - began) / 1000)
      }
    }
  }

  #spanOf(key: Key): SpanDetails<Ending> {
    return {
      attributes: () => {
        const [name = key, namespace = ''] = key.split('/').toReversed()
        return {
          'molecule.kind': this.#options.informer.type.kind,
          'molecule.namespace': namespace,
          'molecule.name': name,
        }
      },
      ended: (outcome) => ({ 'molecule.outcome': outcome }),
    }
  }

  async #pass(key: Key, stopping: AbortSignal, span: Span): Promise<Ending> {
    const object = this.#options.informer.cache.get(key)
    if (object && limitOf(object) !== undefined && object.metadata.deletionTimestamp !== undefined)
      return await this.#passOfOutline(key, stopping, span)
    if (this.#outlines.delete(key)) this.#wakeOutline()
    if (object) return await this.#passOf(object, stopping, span)
    this.#queue.forget(key)
    this.#verdicts.forget(key)
    return 'skipped'
  }

  /**
   * Its end is owed to an object of any size. Whole ones do not fit into memory together, so they go one after the other;
   * those that wait hold no worker, which the objects of other namespaces need.
   */
  async #passOfOutline(key: Key, stopping: AbortSignal, span: Span): Promise<Ending> {
    this.#outlines.add(key)
    if (this.#wholeUnderWay) return 'skipped'
    this.#wholeUnderWay = true
    this.#outlines.delete(key)
    try {
      return await this.#passOfWhole(key, stopping, span)
    } finally {
      this.#wholeUnderWay = false
      this.#wakeOutline()
    }
  }

  #wakeOutline(): void {
    const [next] = this.#outlines
    if (next !== undefined) this.enqueue(next)
  }

  async #passOfWhole(key: Key, stopping: AbortSignal, span: Span): Promise<Ending> {
    const { client, informer } = this.#options
    try {
      const whole = await client.get(informer.type, key, stopping)
      return whole === undefined ? 'skipped' : await this.#passOf(whole, stopping, span)
    } catch (error) {
      if (stopping.aborted) return 'skipped'
      if (!(error instanceof KubeError)) throw error
      if (error.isAway) return this.#awaitServer(key, error)
      this.#log.info({ key, cause: reasonOf(error) }, 'object not read')
      this.#queue.addBackoff(key)
      return 'error'
    }
  }

  async #passOf(object: T, stopping: AbortSignal, span: Span): Promise<Ending> {
    const key = keyOf(object)
    const pass = new Pass(this.#options, object, this.#log, stopping)
    span.set({ 'molecule.reconcile_id': pass.context.reconcileId })
    try {
      const limit = limitOf(object)
      if (limit !== undefined) throw new Terminal('QuotaExceeded', tooLarge(object, limit))
      const verdict = await this.#options.reconciler.reconcile(object, pass.context)
      if (pass.released) return this.#after(key, { kind: 'settled' })
      const reported = await this.#reporter.report(object, verdict, new Date(), pass.context.reconcileId)
      if (reported.kind === 'written') failpoint('reported')
      const standing = standingOf(verdict)
      // What a person must mend is said by every process anew; the rest when the status says so, too.
      this.#settle(key, standing, pass, span, standing?.state === 'stalled' || reported.kind === 'written')
      if (verdict.outcome.kind === 'blocked') pass.warn(reported, verdict.outcome)
      return this.#after(key, verdict.outcome, reported)
    } catch (error) {
      return await this.#failed(key, object, pass, error, stopping, span)
    } finally {
      pass.end()
    }
  }

  #after(key: Key, outcome: Outcome, reported?: Reported): Ending {
    this.#queue.forget(key)
    const deferred = reported?.kind === 'deferred' ? reported.after : Number.POSITIVE_INFINITY
    if (reported?.kind === 'written' && reported.disputed) this.#queue.addAfter(key, takeBack)
    if (outcome.kind === 'again') this.#queue.addAfter(key, Math.min(outcome.after, deferred) as Duration)
    if (outcome.kind === 'blocked' && outcome.retryAfter !== undefined) this.#queue.addAfter(key, outcome.retryAfter)
    return outcome.kind
  }

  #settle(key: Key, standing: Standing | undefined, pass: Pass<T>, span: Span, isNews: boolean): boolean {
    if (standing) span.set({ 'molecule.reason': standing.reason })
    // Gone while its pass was under way: what was forgotten then is not counted again.
    if (this.#options.informer.cache.get(key) === undefined) return false
    const told = this.#verdicts.set(key, standing, (level, fields, message) => pass.say(level, fields, message), isNews)
    pass.told ||= told
    return told
  }

  async #failed(
    key: Key,
    object: T,
    pass: Pass<T>,
    error: unknown,
    stopping: AbortSignal,
    span: Span,
  ): Promise<Ending> {
    if (error instanceof Fenced) throw error
    if (stopping.aborted) return 'skipped'
    if (pass.gone) return 'skipped'
    if (error instanceof KubeError && error.isConflict) {
      this.#queue.addBackoff(key)
      return 'conflict'
    }
    if (error instanceof RetryAfter) {
      this.#queue.forget(key)
      this.#queue.addAfter(key, error.after)
      if (error.reason !== undefined) {
        const trouble: Trouble = { kind: 'waiting', reason: error.reason, message: error.message }
        const reported = await this.#tell(key, object, trouble, pass)
        span.set({ 'molecule.reason': error.reason })
        // Of one that was seen through before nothing is said while the operator's own needs are away.
        if (reported?.kind === 'written') this.#settle(key, { ...trouble, state: 'waiting' }, pass, span, true)
      }
      return error instanceof Unavailable ? 'unavailable' : 'again'
    }
    if (error instanceof KubeError && error.isAway) {
      pass.context.log.debug({ cause: reasonOf(error) }, 'pass waits')
      return this.#awaitServer(key, error)
    }
    if (error instanceof Terminal) {
      const trouble: Trouble = { kind: 'blocked', reason: error.reason, message: reasonOf(error) }
      const reported = await this.#tell(key, object, trouble, pass)
      this.#settle(key, { ...trouble, state: 'stalled' }, pass, span, true)
      if (reported) pass.warn(reported, trouble)
      if (error.retryAfter !== undefined) this.#queue.addAfter(key, error.retryAfter)
      return 'blocked'
    }
    const failures = this.#queue.addBackoff(key)
    const standing: Standing = { state: 'failing', reason: 'Retrying', message: reasonOf(error) }
    if (this.#settle(key, standing, pass, span, true)) pass.context.log.error({ err: error, failures }, 'pass failed')
    else pass.context.log.debug({ cause: standing.message, failures }, 'pass failed again')
    if (failures >= patience)
      await this.#tell(key, object, { kind: 'retrying', reason: 'Retrying', message: reasonOf(error) }, pass)
    return 'error'
  }

  #awaitServer(key: Key, { retryAfter }: KubeError): Ending {
    this.#queue.forget(key)
    this.#queue.addAfter(key, retryAfter ?? milliseconds(away * (0.5 + Math.random())))
    return 'unavailable'
  }

  /** A status that cannot be written now is written by a later pass. */
  async #tell(key: Key, object: T, trouble: Trouble, pass: Pass<T>): Promise<Reported | undefined> {
    this.#options.reconciler.onTrouble?.(object, trouble)
    try {
      const reported = await this.#reporter.reportTrouble(object, trouble, new Date())
      if (trouble.kind === 'blocked') this.#queue.forget(key)
      return reported
    } catch (error) {
      if (error instanceof Fenced) throw error
      pass.context.log.info({ cause: reasonOf(error) }, 'status not written')
      if (trouble.kind === 'blocked') this.#queue.addBackoff(key)
      return undefined
    }
  }
}

/** Whatever tells of changes: an informer, or objects that are followed. */
export interface Source<C> {
  onChange(listener: (change: C) => void): void
}

/**
 * Our own status writes and claims come back as changes too: they are no reason to look again. What people, Git and other
 * controllers can ask for is.
 */
function isWorthAPass(before: KubeObject | undefined, after: KubeObject): boolean {
  if (!before) return true
  const [was, is] = [before.metadata, after.metadata]
  return (
    was.generation !== is.generation ||
    limitOf(before) !== limitOf(after) ||
    was.deletionTimestamp !== is.deletionTimestamp ||
    (hasFinalizer(before) && !hasFinalizer(after)) ||
    !sameStrings(was.annotations, is.annotations) ||
    !sameStrings(was.labels, is.labels)
  )
}

const tooLarge = ({ kind, metadata }: KubeObject, limit: string) =>
  `nothing is done for it: the objects of namespace ${metadata.namespace ?? ''} take more than the limit of ${limit}, and this ${kind} is beyond it; make it smaller, or delete others`

function sameStrings(a: Readonly<Record<string, string>> = {}, b: Readonly<Record<string, string>> = {}): boolean {
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name])
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
