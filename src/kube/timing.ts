import { milliseconds, type Duration } from '../duration.ts'

/** Full jitter: anything up to `most`, so that many who failed together do not come back together. */
export const jitter = (most: Duration): Duration => milliseconds(Math.random() * most)

/** Doubles from `base` with every attempt (from 1), at most `most`. No jitter yet. */
export const exponential = (attempt: number, base: Duration, most: Duration): Duration =>
  milliseconds(Math.min(most, base * 2 ** Math.min(attempt - 1, 30)))

/** Resolves after `span`, or as soon as the signal aborts: the caller looks at the signal, nothing is thrown. */
export function sleep(span: Duration, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve()
    const timer = setTimeout(done, span)
    function done() {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    signal?.addEventListener('abort', done, { once: true })
  })
}
