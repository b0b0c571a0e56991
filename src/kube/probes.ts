import { createServer, type Server, type ServerResponse } from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Dependency } from '../telemetry/dependency.ts'
import type { InformerState } from './informer.ts'
import type { Kube } from './kube.ts'

export interface ProbesOptions {
  readonly kube: Kube
  readonly metrics: Metrics
  /** 0 takes a free one. */
  readonly port: number
  readonly host?: string
  /** What must serve for `/readyz`, beside the API server. */
  readonly needed?: readonly Dependency[]
  /** What is in the metrics alone: a replica without it serves all who do not ask for it. */
  readonly used?: readonly Dependency[]
}

/** Anything that reaches the port may connect: so few at once, and none for long, that it costs the operator nothing. */
const mostConnections = 64
const bounds = { headersTimeout: 5000, requestTimeout: 10_000, connectionsCheckingInterval: 1000 }

/**
 * `/livez` (and `/healthz`): the loop turns, which no dependency can change. `/readyz`: caches synced, and all that is
 * needed serves; each line of it names what does not. `/metrics`.
 */
export class Probes {
  readonly #options: ProbesOptions
  readonly #server: Server
  readonly #observers: (() => void)[] = []
  readonly #lag = monitorEventLoopDelay({ resolution: 100 })

  constructor(options: ProbesOptions) {
    this.#options = options
    this.#server = createServer(bounds, (request, response) => {
      // No connection is kept: a probe and a scrape are one request each.
      response.setHeader('connection', 'close')
      if (request.method !== 'GET' && request.method !== 'HEAD') return say(response, 405, 'only GET and HEAD\n')
      this.#answer(request.url ?? '/', response).catch(() => response.writeHead(500).end())
    })
    this.#server.maxConnections = mostConnections
  }

  /** Called before each answer of `/metrics`, for values that are computed on each scrape alone. */
  onScrape(observe: () => void): void {
    this.#observers.push(observe)
  }

  /** The port it listens on, once started. */
  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  async start(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#server.once('error', reject)
    this.#server.listen(this.#options.port, this.#options.host ?? '127.0.0.1', resolve)
    await promise
    this.#lag.enable()
  }

  async stop(): Promise<void> {
    this.#lag.disable()
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  async #answer(url: string, response: ServerResponse): Promise<void> {
    switch (url.split('?')[0]) {
      case '/livez':
      case '/healthz':
        return say(response, 200, 'ok\n')
      case '/readyz': {
        const missing = this.#missing()
        return say(
          response,
          missing.length === 0 ? 200 : 503,
          missing.length === 0 ? 'ok\n' : `${missing.join('\n')}\n`,
        )
      }
      case '/metrics': {
        this.#observe()
        const { registry } = this.#options.metrics
        response.setHeader('content-type', registry.contentType)
        return say(response, 200, await registry.metrics())
      }
      default:
        return say(response, 404, 'there is /livez, /healthz, /readyz and /metrics\n')
    }
  }

  #missing(): string[] {
    const { kube, needed = [] } = this.#options
    // One that was whole once goes on as it is while it cannot be followed: out of date, and none may rely on it.
    const caches = kube.required.filter(({ cache, state }) => !cache.hasSynced || isRefused(state))
    return [
      ...caches.map((informer) => `cache of ${informer.type.plural}: ${informer.state}`),
      ...[kube.transport.dependency, ...needed].flatMap(({ name, trouble }) =>
        trouble === undefined ? [] : [`${name}: ${trouble}`],
      ),
    ]
  }

  #observe(): void {
    for (const observe of this.#observers) observe()
    const { kube, metrics, needed = [], used = [] } = this.#options
    kube.transport.dependency.observe(!kube.required.some(({ state }) => isRefused(state)))
    for (const dependency of [...needed, ...used]) dependency.observe()
    for (const { kind, size, silence } of kube.caches) {
      metrics.cacheObjects.set({ kind }, size)
      metrics.watchAge.set({ kind }, silence / 1000)
    }
    for (const { type, refused, bytes } of kube.followed) {
      metrics.followedBytes.set({ kind: type.kind }, bytes)
      metrics.followedRefused.set({ kind: type.kind }, refused)
    }
    metrics.eventLoopLag.set(this.#lag.max / 1e9)
    this.#lag.reset()
  }
}

const isRefused = (state: InformerState): boolean => state === 'forbidden' || state === 'missing'

function say(response: ServerResponse, code: number, body: string): void {
  response.writeHead(code).end(body)
}
