/**
 * How long looks wait for an engine. One that stands still answers none of them: each would hold a worker for the whole
 * deadline, and a few hundred containers of such an engine would keep all workers from what runs elsewhere. So, once a look
 * had no answer in time and none was answered meanwhile, others wait for a short time alone; but for one at a time, which
 * waits as long as before and finds an engine that is slow, not still.
 *
 *   answers ──(a look times out, none was answered since it began)──► stands still ──(any answer, or a refusal)──► answers
 */
import { seconds, type Duration } from '../../duration.ts'

export interface LookLimits {
  readonly deadline: Duration
  /** While the engine stands still. */
  readonly shortDeadline: Duration
}

export const lookLimits: LookLimits = { deadline: seconds(10), shortDeadline: seconds(1) }

export class Looks {
  readonly #limits: LookLimits
  #standsStill = false
  /** A look with the whole deadline is under way at an engine that stands still. */
  #probing = false
  /** When the engine last answered, by the monotonic clock. */
  #answeredAt = -Infinity

  constructor(limits = lookLimits) {
    this.#limits = limits
  }

  /** Makes the call with a deadline. Throws `timed out` after that, and what the call throws otherwise. */
  async within<T>(signal: AbortSignal, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const began = performance.now()
    const probes = this.#standsStill && !this.#probing
    const { deadline, shortDeadline } = this.#limits
    const late = AbortSignal.timeout(this.#standsStill && !probes ? shortDeadline : deadline)
    if (probes) this.#probing = true
    try {
      const answer = await call(AbortSignal.any([signal, late]))
      this.#answered()
      return answer
    } catch (error) {
      if (signal.aborted) throw error
      if (!late.aborted) {
        // An answer that tells of a failure, or a refusal: neither lets a look wait.
        this.#answered()
        throw error
      }
      if (this.#answeredAt < began) this.#standsStill = true
      throw timedOut()
    } finally {
      if (probes) this.#probing = false
    }
  }

  #answered(): void {
    this.#answeredAt = performance.now()
    this.#standsStill = false
  }
}

/** Without its cause: a client that is told to give up says so in many words, and nothing else. */
const timedOut = (): Error => new Error('timed out')
