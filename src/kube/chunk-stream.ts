import type { Dispatcher } from 'undici'
import { reasonOf } from '../errors.ts'
import { KubeError } from './kube-error.ts'

/** Chunks read ahead before the socket is told to wait. */
const readAhead = 32

/** The body of an answer that does not end, as an async iterable with back-pressure. Aborting the signal ends it. */
export class ChunkStream implements Dispatcher.DispatchHandler, AsyncIterable<Buffer> {
  /** The HTTP status; rejects when no answer came. */
  readonly opened: Promise<number>
  code = 0
  retryAfter: unknown
  readonly #what: string
  readonly #signal: AbortSignal
  readonly #open: { resolve: (code: number) => void; reject: (error: unknown) => void }
  #controller: Dispatcher.DispatchController | undefined
  #chunks: Buffer[] = []
  #end: { readonly error: Error | undefined } | undefined
  #wake: (() => void) | undefined

  constructor(what: string, signal: AbortSignal) {
    this.#what = what
    this.#signal = signal
    const { promise, ...settle } = Promise.withResolvers<number>()
    this.opened = promise
    this.#open = settle
    signal.addEventListener('abort', this.#aborted, { once: true })
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#signal.aborted) this.#aborted()
  }

  onResponseStart(_controller: Dispatcher.DispatchController, code: number, headers: Record<string, unknown>): void {
    this.code = code
    this.retryAfter = headers['retry-after']
    this.#open.resolve(code)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk)
    if (this.#chunks.length > readAhead) controller.pause()
    this.#wake?.()
  }

  onResponseEnd(): void {
    this.#finish(undefined)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const named =
      error instanceof KubeError
        ? error
        : new KubeError(0, 'NetworkError', `${this.#what}: ${reasonOf(error)}`, { cause: error })
    this.#finish(this.#signal.aborted ? undefined : named)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    try {
      while (true) {
        const chunks = this.#chunks
        this.#chunks = []
        if (this.#controller?.paused === true) this.#controller.resume()
        for (const chunk of chunks) yield chunk
        if (this.#chunks.length > 0) continue
        if (this.#end?.error) throw this.#end.error
        if (this.#end) return
        await new Promise<void>((wake) => (this.#wake = wake))
      }
    } finally {
      this.cancel()
    }
  }

  async text(): Promise<string> {
    const chunks: Buffer[] = []
    for await (const chunk of this) chunks.push(chunk)
    return Buffer.concat(chunks).toString('utf8')
  }

  /** Closes the connection, if it is still open. */
  cancel(): void {
    if (!this.#end) this.#controller?.abort(new DOMException('no longer read', 'AbortError'))
    this.#finish(undefined)
  }

  readonly #aborted = (): void => {
    this.#controller?.abort(new DOMException('aborted', 'AbortError'))
    this.#finish(undefined)
  }

  #finish(error: Error | undefined): void {
    this.#end ??= { error }
    this.#signal.removeEventListener('abort', this.#aborted)
    // Without an answer there is nothing to read, aborted or not.
    this.#open.reject(error ?? new KubeError(0, 'NetworkError', `${this.#what}: ended before an answer`))
    this.#wake?.()
  }
}
