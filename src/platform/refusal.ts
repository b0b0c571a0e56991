import type { Duration } from '../duration.ts'

/** What a caller gets that is not what was asked for. `message` goes out as it is: one line, no secret, no internals. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly status: number
  readonly code: string
  readonly retryAfter: Duration | undefined
  constructor(status: number, code: string, message: string, options: { retryAfter?: Duration; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.status = status
    this.code = code
    this.retryAfter = options.retryAfter
  }
}

/** The one shape of every error body. */
export interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string }
}

export const errorBody = (code: string, message: string): ErrorBody => ({ error: { code, message } })
