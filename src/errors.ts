import type { Duration } from './duration.ts'
import { oneLine } from './text.ts'

/**
 * Only the user can mend this: bad input, a refused reference, an image that does not exist.
 * The machine shows `reason` and `message` in `Stalled` and does not retry until the object changes.
 * `message` is one line that says what, where and for which input; it never carries a secret.
 * `retryAfter` is for what lives where no watch tells of its change (a registry, a foreign container): it is looked at
 * again then, and stays `Stalled` until a look finds something else.
 */
export class Terminal extends Error {
  override readonly name = 'Terminal'
  readonly reason: string
  readonly retryAfter: Duration | undefined
  constructor(reason: string, message: string, options: ErrorOptions & { readonly retryAfter?: Duration } = {}) {
    super(message, options)
    this.reason = reason
    this.retryAfter = options.retryAfter
  }
}

/**
 * An expected wait that a port ran into (throttled, still starting). Not an error: no backoff, no error metric. Where it
 * may last, `reason` says so: whoever waits for the object is told, by the message alone.
 */
export class RetryAfter extends Error {
  override readonly name: string = 'RetryAfter'
  readonly after: Duration
  readonly reason: string | undefined
  constructor(after: Duration, why: string, options: ErrorOptions & { readonly reason?: string } = {}) {
    super(why, options)
    this.after = after
    this.reason = options.reason
  }
}

/** What the operator itself needs is away or busy, for all objects alike: waited for as any other wait, and counted apart. */
export class Unavailable extends RetryAfter {
  override readonly name = 'Unavailable'
}

/**
 * This process is no longer the leader whose epoch may write. Nothing was written. The process must stop:
 * another one leads, or will.
 */
export class Fenced extends Error {
  override readonly name = 'Fenced'
}

/** The text of anything thrown, with its causes, each said once, on one line and without a stack. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return oneLine(String(error))
  const said = error.message || partsOf(error) || error.name
  const cause = error.cause === undefined ? '' : reasonOf(error.cause)
  return oneLine(cause === '' || said.endsWith(cause) ? said : `${said}: ${cause}`)
}

/** A host with several addresses fails with one error for each, under an error without words. */
const partsOf = (error: Error): string =>
  error instanceof AggregateError ? [...new Set(error.errors.map(reasonOf))].join(', ') : ''
