import type { Dispatcher } from 'undici'
import type { Duration } from '../duration.ts'
import { reasonOf } from '../errors.ts'
import type { Fence } from '../fence.ts'
import { KubeError } from './kube-error.ts'

/** One request to the API server. */
export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Path and query, from the root of the API server. */
  readonly path: string
  readonly body?: unknown
  readonly contentType?: string
  /** Label of the metrics: get, list, create, apply, patch, delete … */
  readonly verb: string
  readonly signal?: AbortSignal | undefined
  /** Media types that are taken, in place of JSON alone. */
  readonly accept?: string
  /** Checked when the request is about to go onto the wire, not when it was asked for: a thawed process sends nothing. */
  readonly fence?: Fence | undefined
}

export interface Answer {
  readonly code: number
  readonly body: string
  readonly retryAfter: unknown
}

/**
 * The longest answer that is read to its end. No single object comes near it: etcd takes 1.5 MiB, which as JSON, with every
 * `<` written as six characters, are 9.
 */
export const mostAnswerBytes = 12 * 1024 * 1024

/** One request and its whole answer, at undici's lowest level: streams and promises a chunk would double the CPU. */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly answer: Promise<Answer>
  /** 0 until an answer came. */
  code = 0
  readonly #call: Call
  readonly #timer: NodeJS.Timeout
  readonly #settle: { resolve: (answer: Answer) => void; reject: (error: unknown) => void }
  readonly #chunks: Buffer[] = []
  #bytes = 0
  #retryAfter: unknown
  #controller: Dispatcher.DispatchController | undefined
  #ended: Error | undefined

  constructor(call: Call, deadline: Duration) {
    this.#call = call
    const { promise, ...settle } = Promise.withResolvers<Answer>()
    this.answer = promise
    this.#settle = settle
    this.#timer = setTimeout(this.#timedOut, deadline)
    call.signal?.addEventListener('abort', this.#aborted, { once: true })
    // While the credentials were read: its event has been.
    if (call.signal?.aborted === true) this.#aborted()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    try {
      if (!this.#ended) this.#call.fence?.check()
    } catch (error) {
      this.#ended = error as Error
    }
    // Ended while it waited for a connection: nothing of it may be sent.
    if (this.#ended) controller.abort(this.#ended)
  }

  onResponseStart(_controller: Dispatcher.DispatchController, code: number, headers: Record<string, unknown>): void {
    this.code = code
    this.#retryAfter = headers['retry-after']
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > mostAnswerBytes)
      return this.#end(this.#failure('AnswerTooLarge', `more than ${mostAnswerBytes} bytes`))
    this.#chunks.push(chunk)
  }

  onResponseEnd(): void {
    this.#finish()
    const [only] = this.#chunks
    const whole = this.#chunks.length === 1 && only ? only : Buffer.concat(this.#chunks)
    this.#settle.resolve({ code: this.code, body: whole.toString('utf8'), retryAfter: this.#retryAfter })
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#finish()
    this.#settle.reject(this.#ended ?? this.#failure('NetworkError', reasonOf(error), error))
  }

  readonly #timedOut = (): void => this.#end(this.#failure('Timeout', 'no answer before the deadline'))

  readonly #aborted = (): void => {
    const reason: unknown = this.#call.signal?.reason
    this.#end(reason instanceof Error ? reason : new DOMException('aborted', 'AbortError'))
  }

  #end(error: Error): void {
    this.#ended ??= error
    this.#finish()
    this.#chunks.length = 0
    this.#controller?.abort(this.#ended)
    this.#settle.reject(this.#ended)
  }

  #finish(): void {
    clearTimeout(this.#timer)
    this.#call.signal?.removeEventListener('abort', this.#aborted)
  }

  #failure(reason: string, text: string, cause?: unknown): KubeError {
    return new KubeError(0, reason, `${this.#call.verb} ${this.#call.path}: ${text}`, { cause })
  }
}
