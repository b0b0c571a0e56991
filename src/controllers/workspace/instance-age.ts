import { milliseconds, type Duration } from '../../duration.ts'

/**
 * How long instances have run. What the wall clocks of two machines say is taken once, at the first look; from then on
 * a clock counts that nobody sets, so that an hour forward kills no agent that is still booting.
 */
export class InstanceAges {
  readonly #born = new Map<string, number>()
  readonly #tick: () => number

  /** `tick`: milliseconds of a monotonic clock. */
  constructor(tick: () => number = () => performance.now()) {
    this.#tick = tick
  }

  of(id: string, startedAt: Date, now: Date): Duration {
    const tick = this.#tick()
    const born = this.#born.get(id) ?? tick - Math.max(0, now.getTime() - startedAt.getTime())
    this.#born.set(id, born)
    return milliseconds(tick - born)
  }

  /** It was started a moment ago: no clock has to be asked, which somebody may be setting just now. */
  begin(id: string): void {
    if (!this.#born.has(id)) this.#born.set(id, this.#tick())
  }

  forget(id: string): void {
    this.#born.delete(id)
  }
}
