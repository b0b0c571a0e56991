import { setTimeout as wait } from 'node:timers/promises'
import { reasonOf } from '../../src/errors.ts'

export interface Until {
  /** Milliseconds; 30 s unless given. */
  readonly within?: number
  /** Milliseconds between two looks; 50 unless given. */
  readonly every?: number
  /** What is waited for, for the error: `the row to be removed`. */
  readonly what?: string
}

/**
 * Looks again until `look` gives something true without throwing (an `expect` inside is fine), and returns it. Throws,
 * when the time is over, with what the last look found or threw.
 */
export async function until<T>(look: () => T | Promise<T>, options: Until = {}): Promise<NonNullable<T>> {
  const { within = 30_000, every = 50, what = 'what was waited for' } = options
  const deadline = performance.now() + within
  for (;;) {
    // Asked before the look: a machine that stood still until the deadline gets one more.
    const last = performance.now() >= deadline
    let seen: string
    try {
      const found = await look()
      if (found) return found
      seen = `last seen: ${JSON.stringify(found)}`
    } catch (error) {
      seen = reasonOf(error)
    }
    if (last) throw new Error(`${what} did not come within ${String(within / 1000)} s: ${seen}`)
    await wait(every)
  }
}
