/**
 * One thing that the operator needs beside itself, and whether it serves: what `/readyz`, the metrics and the log say of
 * it. An outage is one line when it begins and one when it is over, however many calls meet it; another cause meanwhile is
 * one more.
 */
import type { Duration } from '../duration.ts'
import { milliseconds } from '../duration.ts'
import { reasonOf } from '../errors.ts'
import type { Logger } from './log.ts'
import type { Metrics } from './metrics.ts'

export interface DependencyOptions<Cause extends string> {
  /** Value of the label of its metrics. */
  readonly name: string
  /** Every cause there is, and its words: of `/readyz`, which anyone may read. */
  readonly causes: Readonly<Record<Cause, string>>
  readonly log: Logger
  readonly metrics: Pick<Metrics, 'dependencyUp' | 'dependencyErrors'>
  /** How long it must have failed, without a success in between, before the log says so. Nothing else waits for it. */
  readonly patience?: Duration
}

export class Dependency<Cause extends string = string> {
  readonly name: string
  readonly #options: DependencyOptions<Cause>
  /** Since when, by the monotonic clock, and why last. */
  #failing: { readonly since: number; cause: Cause } | undefined
  /** Causes that the log has of this outage. */
  readonly #said = new Set<Cause>()

  constructor(options: DependencyOptions<Cause>) {
    this.name = options.name
    this.#options = options
    for (const cause of Object.keys(options.causes)) options.metrics.dependencyErrors.inc(this.#labels(cause), 0)
    this.observe()
  }

  /**
   * What is wrong with it, for `/readyz`; undefined while it serves. As it is at this moment, without patience: how many probes
   * in a row have to find it so before a replica gets no more requests is for the readinessProbe to say.
   */
  get trouble(): string | undefined {
    return this.#failing && this.#options.causes[this.#failing.cause]
  }

  /** Counts an error that says nothing of the whole: another call may well succeed. */
  count(cause: Cause): void {
    this.#options.metrics.dependencyErrors.inc(this.#labels(cause))
  }

  /** A call failed, and any other would have. Does not count it. */
  fails(cause: Cause, error: unknown): void {
    const now = performance.now()
    const failing = (this.#failing ??= { since: now, cause })
    failing.cause = cause
    const { patience = milliseconds(0), log } = this.#options
    if (this.#said.has(cause) || now - failing.since < patience) return
    this.#said.add(cause)
    log.warn({ dependency: this.name, reason: cause, cause: reasonOf(error) }, 'dependency failed')
  }

  works(): void {
    const failed = this.#failing
    if (failed === undefined) return
    this.#failing = undefined
    if (this.#said.size === 0) return
    this.#said.clear()
    const ms = Math.round(performance.now() - failed.since)
    this.#options.log.info({ dependency: this.name, ms }, 'dependency works again')
  }

  /** Brings its gauge up to date. `serves` false: something beside its own calls says that it does not. */
  observe(serves = true): void {
    this.#options.metrics.dependencyUp.set({ dependency: this.name }, serves && this.#failing === undefined ? 1 : 0)
  }

  #labels(cause: string): { dependency: string; cause: string } {
    return { dependency: this.name, cause }
  }
}
