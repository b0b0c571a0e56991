import { seconds, type Duration } from '../duration.ts'
import { Fenced, reasonOf, RetryAfter } from '../errors.ts'
import type { Fence } from '../fence.ts'
import { News, type Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { KubeError } from './kube-error.ts'
import { breakOf, type Lease, type LeaseBreak } from './lease.ts'
import { microTime } from './micro-time.ts'
import { sleep } from './timing.ts'
import type { Transport } from './transport.ts'

export interface LeaderOptions {
  readonly transport: Transport
  readonly namespace: string
  readonly name: string
  /** Who we are in the lease: unique to this process. */
  readonly identity: string
  /** Ends the writes of every earlier leader in the database; the number it returns is the fence's epoch. */
  readonly beginEpoch: (holder: string) => Promise<bigint>
  readonly log: Logger
  readonly metrics: Metrics
  /** False: lead at once and always, where one process is all there is. */
  readonly elect?: boolean
  readonly times?: Partial<LeaseTimes>
}

export interface LeaseTimes {
  /** How long a lease is good without being renewed. */
  readonly lease: Duration
  /** How long one try to renew may take; less than half of `lease`, so that a second one fits. */
  readonly attempt: Duration
  /** Between two tries. */
  readonly retry: Duration
  /** How much earlier than others we hold our own lease for lost: clocks drift, and requests travel. */
  readonly margin: Duration
}

const usual: LeaseTimes = { lease: seconds(15), attempt: seconds(5), retry: seconds(2), margin: seconds(2) }

/**
 * Leader election by a Lease. A takeover is judged by how long *we* have seen the record stand still, on the monotonic
 * clock: clocks of machines differ and jump. Our own right is judged by when we *sent* the last renewal that succeeded.
 */
export class Leader {
  readonly fence: Fence
  readonly #options: LeaderOptions
  readonly #times: LeaseTimes
  readonly #path: string
  #lease: Lease | undefined
  /** The record was found older than it had been: taken anew, others see that it is not the one that they knew. */
  #takesAnew = false
  readonly #broken = new Set<(cause: LeaseBreak) => void>()
  /** When the record last changed before our eyes. */
  #changedAt = 0
  #validUntil = Number.NEGATIVE_INFINITY
  #epoch: bigint | undefined
  /** Why it neither leads nor renews: an outage of minutes is one line. */
  readonly #news = new News()

  constructor(options: LeaderOptions) {
    this.#options = options
    this.#times = { ...usual, ...options.times }
    this.#path = `/apis/coordination.k8s.io/v1/namespaces/${options.namespace}/leases`
    const epoch = () => this.#currentEpoch()
    this.fence = {
      get epoch() {
        return epoch()
      },
      check: () => this.#check(),
    }
    options.metrics.leader.set({ lease: options.name }, 0)
  }

  get leads(): boolean {
    return this.#epoch !== undefined && performance.now() <= this.#validUntil
  }

  /**
   * Told when the lease does not follow from what was known of it: the store of the API server may have been put back, and
   * then nothing that was read from it holds. Must not throw. Without an election it is never told.
   */
  onBreak(listener: (cause: LeaseBreak) => void): void {
    this.#broken.add(listener)
  }

  /** Waits until this process leads and its epoch has begun. Resolves early, not leading, when the signal aborts. */
  async acquire(signal: AbortSignal): Promise<void> {
    const { log, metrics, name, identity } = this.#options
    if (this.#options.elect === false) this.#validUntil = Number.POSITIVE_INFINITY
    else {
      log.info({ lease: name, identity }, 'waiting to lead')
      while (!signal.aborted && !(await this.#attempt())) await sleep(this.#candidatePause(), signal)
      if (signal.aborted) return
    }
    await this.#begin(signal)
    if (this.#epoch === undefined) return
    metrics.leader.set({ lease: name }, 1)
    log.info({ lease: name, identity, epoch: String(this.#epoch) }, 'leading')
  }

  /** Keeps the lease until the signal aborts. Throws `Fenced` when it is lost. */
  async hold(signal: AbortSignal): Promise<void> {
    if (this.#options.elect === false) return await sleepForever(signal)
    while (!signal.aborted) {
      await sleep(this.#times.retry, signal)
      if (signal.aborted) return
      await this.#renew(signal)
    }
  }

  /** Gives the lease back, so that another need not wait for it to run out. The last act of a clean stop. */
  async release(): Promise<void> {
    const held = this.leads
    this.#epoch = undefined
    this.#validUntil = Number.NEGATIVE_INFINITY
    this.#options.metrics.leader.set({ lease: this.#options.name }, 0)
    if (!held || this.#options.elect === false || !this.#lease) return
    await this.#put({ ...this.#lease.spec, holderIdentity: '', leaseDurationSeconds: 1 }).catch((error: unknown) =>
      this.#options.log.info({ cause: reasonOf(error) }, 'lease not released'),
    )
  }

  /**
   * In doubt is not lost: while nobody answers, nobody else can have taken the lease either, and whoever renews it on the
   * record it last wrote has held it all along. Until then nothing may be sent.
   */
  #check(): void {
    if (this.#epoch === undefined) throw new Fenced('this process does not lead')
    if (performance.now() > this.#validUntil)
      throw new RetryAfter(this.#times.retry, 'the lease may have passed to another: waiting for the next renewal')
  }

  #currentEpoch(): bigint {
    if (this.#epoch === undefined) throw new Fenced('this process does not lead')
    return this.#epoch
  }

  /** The lease must not run out while the database is slow or away, so it is renewed meanwhile. */
  async #begin(signal: AbortSignal): Promise<void> {
    const done = new AbortController()
    const either = AbortSignal.any([signal, done.signal])
    const holding = this.hold(either)
    try {
      // Ended with the lease: begun after it was lost, an epoch would end that of the process that leads by then.
      await Promise.race([holding, this.#epochOf(either)])
    } finally {
      done.abort()
    }
    await holding
  }

  async #epochOf(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const epoch = await this.#options.beginEpoch(this.#options.identity)
        if (performance.now() > this.#validUntil) throw new Fenced('the lease ran out before its epoch began')
        this.#epoch = epoch
        this.#news.end()
        return
      } catch (error) {
        if (error instanceof Fenced) throw error
        const cause = reasonOf(error)
        if (this.#news.is(cause)) this.#options.log.warn({ cause }, 'epoch cannot begin yet')
        await sleep(this.#times.retry, signal)
      }
    }
  }

  /** One look at the lease, and a try to take it where it is free. */
  async #attempt(): Promise<boolean> {
    try {
      const seen = await this.#read()
      const stands = seen?.metadata.resourceVersion === this.#lease?.metadata.resourceVersion
      if (!stands) this.#changedAt = performance.now()
      this.#follow(seen)
      const lasts = (seen?.spec.leaseDurationSeconds ?? 0) * 1000
      const holder = seen?.spec.holderIdentity ?? ''
      const free = holder === '' || holder === this.#options.identity
      const taken = (free || performance.now() - this.#changedAt > lasts) && (await this.#take(seen))
      this.#news.end()
      return taken
    } catch (error) {
      const cause = reasonOf(error)
      if (this.#news.is(cause)) this.#options.log.info({ cause }, 'lease cannot be read or taken yet')
      return false
    }
  }

  async #take(from: Lease | undefined): Promise<boolean> {
    const now = microTime(new Date())
    const sentAt = performance.now()
    const leaseTransitions = from ? (from.spec.leaseTransitions ?? 0) + 1 : 0
    const spec = { ...this.#claimed(now), acquireTime: now, leaseTransitions }
    try {
      await (from ? this.#put(spec) : this.#create(spec))
    } catch (error) {
      if (error instanceof KubeError && error.code === 409) return false
      throw error
    }
    this.#validUntil = sentAt + this.#times.lease - this.#times.margin
    return true
  }

  /**
   * One renewal, tried until it succeeds or another process holds the lease. An API server that is away is no reason to
   * end: the write is conditional on the record we last wrote, so its success proves that no other replica led in between. After a
   * store was put back it proves that of the present store only; where another led in the lost one, it began a later epoch.
   */
  async #renew(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const sentAt = performance.now()
      try {
        if (!this.#lease) throw new Fenced('there is no lease to renew')
        const now = microTime(new Date())
        await this.#put({ ...this.#lease.spec, ...this.#claimed(now), ...(this.#takesAnew && { acquireTime: now }) })
        this.#takesAnew = false
        this.#validUntil = sentAt + this.#times.lease - this.#times.margin
        this.#news.end()
        return
      } catch (error) {
        if (error instanceof Fenced) throw error
        const [cause, inDoubt] = [reasonOf(error), !this.leads]
        if (this.#news.is(`${cause} ${String(inDoubt)}`))
          this.#options.log.warn({ cause, inDoubt }, 'lease not renewed')
        if (error instanceof KubeError && (error.code === 409 || error.isNotFound)) await this.#lookWhoHolds()
        await sleep((this.#times.retry / 2) as Duration, signal)
      }
    }
  }

  /** After a conflict: our own renewal whose answer was lost is fine, as is one of before; anyone else's is the end. */
  async #lookWhoHolds(): Promise<void> {
    const seen = await this.#read().catch(() => this.#lease)
    if (!seen) throw new Fenced('the lease is gone')
    if (seen.spec.holderIdentity !== this.#options.identity) throw new Fenced('another process holds the lease')
    if (this.#follow(seen)) this.#takesAnew = true
  }

  /** Goes on from the record that was read. True when it breaks with the one before, which has then been told. */
  #follow(seen: Lease | undefined): boolean {
    const { log, name: lease, identity } = this.#options
    const known = this.#lease
    this.#lease = seen
    const cause = breakOf(known, seen, identity)
    if (cause === undefined) return false
    const versions = { seen: known?.metadata.resourceVersion, found: seen?.metadata.resourceVersion }
    log[cause === 'changedHands' ? 'info' : 'warn'](
      { lease, sign: cause, ...versions },
      'the lease is not the one that was known: the API server may have gone back, and all caches are filled anew',
    )
    for (const listener of this.#broken) listener(cause)
    return true
  }

  #claimed(now: string): Lease['spec'] {
    const leaseDurationSeconds = Math.ceil(this.#times.lease / 1000)
    return { holderIdentity: this.#options.identity, leaseDurationSeconds, renewTime: now }
  }

  async #read(): Promise<Lease | undefined> {
    try {
      const path = `${this.#path}/${this.#options.name}`
      return (await this.#options.transport.send({ method: 'GET', path, verb: 'lease', ...this.#limit() })) as Lease
    } catch (error) {
      if (error instanceof KubeError && error.isNotFound) return undefined
      throw error
    }
  }

  async #create(spec: Lease['spec']): Promise<void> {
    const metadata = { name: this.#options.name, namespace: this.#options.namespace }
    const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec }
    const call = { method: 'POST', path: this.#path, verb: 'lease', body, ...this.#limit() } as const
    this.#lease = (await this.#options.transport.send(call)) as Lease
  }

  async #put(spec: Lease['spec']): Promise<void> {
    const path = `${this.#path}/${this.#options.name}`
    const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: this.#lease?.metadata, spec }
    const call = { method: 'PUT', path, verb: 'lease', body, ...this.#limit() } as const
    this.#lease = (await this.#options.transport.send(call)) as Lease
  }

  #limit(): { signal: AbortSignal } {
    return { signal: AbortSignal.timeout(this.#times.attempt) }
  }

  #candidatePause(): Duration {
    return (this.#times.retry * (1 + Math.random() * 1.2)) as Duration
  }
}

function sleepForever(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
