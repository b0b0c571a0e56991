import { milliseconds, type Duration } from '../../duration.ts'

/**
 * How long instances have run. What the wall clocks of two machines say is taken once, at the first look; from then on
 * a monotonic clock counts, so that a wall clock set an hour forward kills no agent that is still booting. Kept by the uid of the object,
which has one instance at a time: those that went before it leave nothing behind.
 */
export class InstanceAges {
  readonly #born = new Map<string, { readonly id: string; readonly at: number }>()
  readonly #tick: () => number

  /** `tick`: milliseconds of a monotonic clock. */
  constructor(tick: () => number = () => performance.now()) {
    this.#tick = tick
  }

  /** Objects of which something is kept. */
  get size(): number {
    return this.#born.size
  }

  of(uid: string, id: string, startedAt: Date, now: Date): Duration {
    const tick = this.#tick()
    const known = this.#born.get(uid)
    if (known?.id === id) return milliseconds(tick - known.at)
    const at = tick - Math.max(0, now.getTime() - startedAt.getTime())
    this.#born.set(uid, { id, at })
    return milliseconds(tick - at)
  }

  /** It was started a moment ago: its age is counted from here, and no wall clock is read. */
  begin(uid: string, id: string): void {
    if (this.#born.get(uid)?.id !== id) this.#born.set(uid, { id, at: this.#tick() })
  }

  forget(uid: string): void {
    this.#born.delete(uid)
  }
}
