import type { Duration } from '../duration.ts'

interface RefusalOptions {
  readonly retryAfter?: Duration
  readonly waking?: boolean
  readonly cause?: unknown
}

/** What a caller gets that is not what was asked for. `message` goes out as it is: one line, no secret, no internals. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly status: number
  readonly code: string
  readonly retryAfter: Duration | undefined
  /** The agent sleeps and was asked to wake. */
  readonly waking: boolean
  constructor(status: number, code: string, message: string, options: RefusalOptions = {}) {
    // Floods make thousands: the place of the throw says nothing that the code does not, and costs more than the answer.
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    super(message, { cause: options.cause })
    Error.stackTraceLimit = stackTraceLimit
    this.status = status
    this.code = code
    this.retryAfter = options.retryAfter
    this.waking = options.waking ?? false
  }
}

/** The one shape of every error body. */
export interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string }
  readonly waking?: true
}

export const errorBody = (code: string, message: string): ErrorBody => ({ error: { code, message } })
