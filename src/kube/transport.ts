import type { Dispatcher, Pool as UndiciPool } from 'undici'
import Pool from 'undici/lib/dispatcher/pool.js'
import { milliseconds, seconds, type Duration } from '../duration.ts'
import { Dependency } from '../telemetry/dependency.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Span } from '../telemetry/span.ts'
import { traced } from '../telemetry/trace.ts'
import { apiTroubles, troubleOf, troubleOfAnswer, type ApiTrouble } from './api-trouble.ts'
import type { Access, Credentials } from './credentials.ts'
import { ChunkStream } from './chunk-stream.ts'
import { Exchange, type Answer, type Call } from './exchange.ts'
import { errorOfAnswer, KubeError } from './kube-error.ts'
import { jitter, sleep } from './timing.ts'

export interface TransportOptions {
  readonly credentials: Credentials
  readonly metrics: Metrics
  readonly log: Logger
  /** Requests in flight; the rest wait in the pool. Watches are not counted. */
  readonly connections?: number
  /** For a whole call with its retries. */
  readonly deadline?: Duration
}

const credentialsAge = seconds(60)
const attempts = 5

/** The way to the API server: two pools (calls and watches), credentials kept fresh, a deadline on everything. */
export class Transport {
  /** Fails from a call that got no answer, or one that any other would have got too, to the next that went well. */
  readonly dependency: Dependency<ApiTrouble>
  /** Path prefix of the server's URL, for API servers behind a proxy. */
  readonly #prefix: string
  readonly #origin: string
  readonly #credentials: Credentials
  readonly #metrics: Metrics
  readonly #connections: number
  readonly #deadline: Duration
  #access: Access | undefined
  #loadedAt = Number.NEGATIVE_INFINITY
  #loading: Promise<void> | undefined
  #headers: readonly string[] = []
  #calls: UndiciPool | undefined
  #watches: UndiciPool | undefined

  constructor(options: TransportOptions) {
    const url = new URL(options.credentials.server)
    this.#origin = url.origin
    this.#prefix = url.pathname === '/' ? '' : url.pathname
    this.#credentials = options.credentials
    this.#metrics = options.metrics
    const { log, metrics } = options
    this.dependency = new Dependency({ name: 'api_server', causes: apiTroubles, log, metrics, patience: seconds(2) })
    this.#connections = options.connections ?? 32
    this.#deadline = options.deadline ?? seconds(15)
  }

  /**
   * Sends and returns the parsed answer. GETs are retried on 429, 5xx and network errors until the deadline; writes only
   * on 429, which never reached a handler.
   */
  async send(call: Call): Promise<unknown> {
    call.signal?.throwIfAborted()
    const deadlineAt = performance.now() + this.#deadline
    for (let attempt = 1; ; attempt++) {
      const error = await this.#once(call, deadlineAt).then(
        (answer) => ({ answer }),
        (error: unknown) => error,
      )
      if (!(error instanceof Error)) return (error as { answer: unknown }).answer
      if (!(error instanceof KubeError)) throw error
      if (error.isUnauthorized && attempt === 1) {
        await this.#load()
        continue
      }
      const retriable = call.method === 'GET' ? error.isTransient : error.isThrottled
      const wait = error.retryAfter ?? jitter(milliseconds(100 * 2 ** attempt))
      if (!retriable || attempt >= attempts || performance.now() + wait > deadlineAt) throw error
      await sleep(wait, call.signal)
      call.signal?.throwIfAborted()
    }
  }

  /** The chunks of a watch. Ends when the server ends it, throws KubeError; `idle` is the longest silence allowed. */
  async stream(path: string, idle: Duration, signal: AbortSignal, accept?: string): Promise<ChunkStream> {
    for (let attempt = 1; ; attempt++) {
      await this.#fresh()
      const stream = new ChunkStream(`watch ${path}`, signal)
      this.#pool('watches').dispatch(
        { ...this.#options('GET', path, accept), headersTimeout: seconds(30), bodyTimeout: idle },
        stream,
      )
      let code = 0
      try {
        code = await stream.opened
      } catch (error) {
        if (!signal.aborted) this.#failed(troubleOf(error), error)
        throw error
      } finally {
        this.#metrics.apiRequests.inc({ verb: 'watch', code })
      }
      if (!signal.aborted) this.#answered(code)
      if (code < 400) return stream
      const error = errorOfAnswer(`watch ${path}`, code, await stream.text(), stream.retryAfter)
      if (!error.isUnauthorized || attempt > 1) throw error
      await this.#load()
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#calls?.destroy(), this.#watches?.destroy()])
  }

  #once(call: Call, deadlineAt: number): Promise<unknown> {
    const attributes = () => ({
      'http.request.method': call.method,
      'url.path': call.path,
      'molecule.verb': call.verb,
    })
    return traced('api request', { attributes }, (span) => this.#exchange(call, deadlineAt, span))
  }

  async #exchange(call: Call, deadlineAt: number, span: Span): Promise<unknown> {
    const stale = this.#fresh()
    if (stale) await stale
    const began = performance.now()
    const exchange = new Exchange(call, milliseconds(Math.max(1, deadlineAt - began)))
    const options = this.#options(call.method, call.path, call.accept)
    if (call.body !== undefined) {
      options.body = JSON.stringify(call.body)
      options.headers = [...this.#headersFor(call.accept), 'content-type', call.contentType ?? 'application/json']
    }
    this.#pool('calls').dispatch(options, exchange)
    let answer: Answer
    try {
      answer = await exchange.answer
    } catch (error) {
      this.#failed(troubleOf(error), error)
      throw error
    } finally {
      span.set({ 'http.response.status_code': exchange.code })
      this.#metrics.apiRequests.inc({ verb: call.verb, code: exchange.code })
      this.#metrics.apiSeconds.observe({ verb: call.verb }, (performance.now() - began) / 1000)
    }
    this.#answered(answer.code)
    const what = `${call.verb} ${call.path}`
    if (answer.code >= 400) throw errorOfAnswer(what, answer.code, answer.body, answer.retryAfter)
    try {
      return JSON.parse(answer.body)
    } catch {
      throw new KubeError(0, 'BadAnswer', `${what}: the answer is not JSON`)
    }
  }

  #answered(code: number): void {
    const trouble = troubleOfAnswer(code)
    if (trouble === undefined) return this.dependency.works()
    this.dependency.count(trouble)
    // What is refused to us for once, or for now, says nothing of other calls.
    if (trouble === 'forbidden' || trouble === 'throttled') this.dependency.works()
    else this.dependency.fails(trouble, `answered ${String(code)}`)
  }

  #failed(trouble: ApiTrouble | undefined, error: unknown): void {
    if (trouble === undefined) return
    this.dependency.count(trouble)
    this.dependency.fails(trouble, error)
  }

  #options(method: Call['method'], path: string, accept?: string): Dispatcher.DispatchOptions {
    // undici's own timers see neither the wait for a connection nor the retries: Exchange keeps the deadline.
    return { method, path: this.#prefix + path, headers: this.#headersFor(accept), headersTimeout: 0, bodyTimeout: 0 }
  }

  #headersFor(accept = 'application/json'): string[] {
    return ['accept', accept, ...this.#headers]
  }

  /** Undefined on the hot path, where nothing is to be awaited. */
  #fresh(): Promise<void> | undefined {
    return performance.now() - this.#loadedAt > credentialsAge ? this.#load() : undefined
  }

  #load(): Promise<void> {
    this.#loading ??= this.#reload().finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  async #reload(): Promise<void> {
    const before = this.#access
    try {
      this.#access = await this.#credentials.load()
    } catch (error) {
      // A file being replaced, a plugin that fails once: what we have may still be good, and a 401 will say if not.
      if (!before) {
        const failure = new KubeError(0, 'Credentials', 'credentials cannot be read', { cause: error })
        this.#failed('credentials', failure)
        throw failure
      }
    }
    this.#loadedAt = performance.now()
    const now = this.#access
    if (!now) return
    this.#headers = ['user-agent', 'molecule-operator']
    if (now.authorization !== undefined) this.#headers = [...this.#headers, 'authorization', now.authorization]
    if (before && tlsOf(before) !== tlsOf(now)) this.#replacePools()
  }

  /** Calls in flight end on the old connections; watches are cut, and resume on new ones. */
  #replacePools(): void {
    const [calls, watches] = [this.#calls, this.#watches]
    this.#calls = this.#watches = undefined
    void calls?.close()
    void watches?.destroy(new KubeError(0, 'CredentialsChanged', 'watch: the client certificate was replaced'))
  }

  #pool(purpose: 'calls' | 'watches'): UndiciPool {
    const pool =
      purpose === 'calls' ? (this.#calls ??= this.#open(this.#connections)) : (this.#watches ??= this.#open(null))
    return pool
  }

  #open(connections: number | null): UndiciPool {
    const { ca, cert, key, servername, insecure } = this.#access ?? {}
    return new Pool(this.#origin, {
      connections,
      pipelining: 1,
      allowH2: false,
      // Shorter than the API server's 90 s, so that it never closes a connection we are about to write to.
      keepAliveTimeout: seconds(30),
      connect: {
        timeout: seconds(10),
        ...(ca !== undefined && { ca }),
        ...(cert !== undefined && { cert }),
        ...(key !== undefined && { key }),
        ...(servername !== undefined && { servername }),
        ...(insecure === true && { rejectUnauthorized: false }),
      },
    })
  }
}

const tlsOf = (access: Access): string =>
  JSON.stringify([access.ca, access.cert, access.key, access.servername, access.insecure])
