/**
 * The HTTP API that agents and admins speak to. Handlers change rows and nothing else: no cluster, no backend, no
 * leader. So every replica serves it, and a heartbeat costs no API write.
 */
import { fastify, type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Server } from 'node:http'
import { seconds } from '../duration.ts'
import type { AgentStore, InboxFull } from '../store/agent-store.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { OpenSpan } from '../telemetry/span.ts'
import { isTracing, openSpan } from '../telemetry/trace.ts'
import { a2aRoute } from './a2a.ts'
import { authentication, callerOf, type RateLimited } from './auth.ts'
import { answerBrokenRequest, errorHandler } from './errors.ts'
import { connectionRoutes } from './connection.ts'
import { requestCount } from './count.ts'
import { createForward, type limits as forwardLimits } from './forward.ts'
import { byteRates, createHeldBytes, heldLimits } from './held-bytes.ts'
import { heartbeatRoute } from './heartbeat.ts'
import { inboxRoutes } from './inbox.ts'
import { lateRefusals } from './late-refusals.ts'
import { Places } from '../places.ts'
import { addressKey } from './rate-limit.ts'
import { Refusal } from './refusal.ts'
import { registerRoute } from './register.ts'
import { LookUps } from '../look-ups.ts'
import { addressRule, type Resolve } from '../outbound.ts'
import { stateRoute } from './state.ts'
import { tokenRoute } from './tokens.ts'
import { updateCardRoute } from './update-card.ts'
import { createWakes } from './wakes.ts'

export interface PlatformOptions {
  readonly agents: AgentStore
  /** Without it nobody is an admin. */
  readonly adminToken: string | undefined
  /** By which agents reach us. */
  readonly platformUrl: string
  /** CIDR networks, private ones among them, where external agents may be. */
  readonly openNetworks: readonly string[]
  readonly log: Logger
  readonly metrics: Metrics
  /** Look-ups of its own unless given. */
  readonly resolve?: Resolve
  readonly forwardLimits?: Partial<typeof forwardLimits>
  readonly serverLimits?: Partial<typeof serverLimits>
}

export interface Platform {
  /** Resolves with the port once requests are taken, and stops on abort: what is under way gets `grace` to end. */
  listen(signal: AbortSignal, at: { readonly host: string; readonly port: number }): Promise<{ readonly port: number }>
  /** Resolves when it has stopped and every connection is closed. */
  readonly closed: Promise<void>
}

export const serverLimits = {
  /** For the headers, and for headers and body together. */
  headers: seconds(5),
  request: seconds(10),
  /** Agents come every 30 s: ten thousand connections kept that long would cost more memory than making them anew. */
  keepAlive: seconds(5),
  sweep: seconds(2),
  /** Between an abort and the end of connections that are still busy. */
  grace: seconds(5),
  bodyBytes: 64 * 1024,
  headerBytes: 8 * 1024,
  /** Of all addresses; one alone has a quarter. */
  connections: 8192,
  /** Between two marks of a message that is under way. */
  traffic: seconds(15),
  callerRate: { perSecond: 50, burst: 200 },
  unknownRate: { perSecond: 100, burst: 500 },
  unknownTotalRate: { perSecond: 1000, burst: 2000 },
  openRate: { perSecond: 50, burst: 200 },
  cardRate: { perSecond: 1, burst: 10 },
  /** Of the callers of a namespace together. */
  messageRate: { perSecond: 100, burst: 100 },
  takeRate: { perSecond: 5, burst: 20 },
  rotateRate: { perSecond: 0.1, burst: 5 },
  held: heldLimits,
  byteRates,
  lateRefusals,
}

export function createPlatform(options: PlatformOptions): Platform {
  const limits = { ...serverLimits, ...options.serverLimits }
  const rule = addressRule(options.openNetworks)
  const resolve = options.resolve ?? new LookUps().resolve
  const forward = createForward({
    rule,
    resolve,
    ...(options.forwardLimits && { limits: options.forwardLimits }),
    onBusy: (bound) => options.metrics.messagesRefused.inc({ bound }),
  })
  const app = createApp(limits, options)
  const wakes = createWakes((span) => options.metrics.wakeSeconds.observe(span))
  const { agents, adminToken, platformUrl } = options
  const limited = (limit: RateLimited) => options.metrics.rateLimited.inc({ limit })
  const auth = authentication({ ...limits, agents, adminToken, limited })
  const { authenticate, recognize, recheck, admitOpen, paced, pacedTogether } = auth
  const ownRotation = paced('rotate', limits.rotateRate)
  // Admins renew what they have to, all of it at once if need be.
  const onRotate = async (request: FastifyRequest) => {
    if (callerOf(request).kind === 'workspace') await ownRotation(request)
  }
  const { holdBody, holdAnswer, paceChunked } = createHeldBytes(options.metrics, limits.held, limits.byteRates)

  // Before its body is read, as everything that has no caller.
  app.addHook('onRequest', async (request) => {
    if (!request.is404) return
    await admitOpen(request)
    throw noSuchRoute
  })
  app.get('/health', { onRequest: admitOpen }, () => ({ status: 'ok' }))
  void app.register(async (beats) => {
    beats.addHook('onRequest', recognize)
    beats.addHook('preParsing', holdBody)
    heartbeatRoute(beats, { agents, recheck })
  })
  void app.register(async (secured) => {
    secured.addHook('onRequest', authenticate)
    secured.addHook('preParsing', holdBody)
    void secured.register(async (cards) => {
      cards.addHook('onRequest', paced('card', limits.cardRate))
      registerRoute(cards, { agents, rule, resolve })
      updateCardRoute(cards, agents)
    })
    stateRoute(secured, agents)
    const inboxRefused = (by: InboxFull) => options.metrics.inboxRefused.inc({ limit: by })
    const onMessage = pacedTogether('messages', limits.messageRate)
    a2aRoute(secured, {
      agents,
      forward,
      wakes,
      log: options.log,
      traffic: limits.traffic,
      inboxRefused,
      onMessage,
      paceChunked,
    })
    inboxRoutes(secured, { agents, onTake: paced('take', limits.takeRate), holdAnswer })
    tokenRoute(secured, agents)
    connectionRoutes(secured, { agents, platformUrl, onRotate })
  })

  const closed = Promise.withResolvers<void>()
  async function stop(): Promise<void> {
    const force = setTimeout(() => app.server.closeAllConnections(), limits.grace)
    try {
      await app.close()
      await forward.close()
    } finally {
      clearTimeout(force)
    }
  }
  return {
    closed: closed.promise,
    async listen(signal, at) {
      signal.throwIfAborted()
      await app.listen(at)
      signal.addEventListener('abort', () => closed.resolve(stop()), { once: true })
      const address = app.server.address()
      return { port: typeof address === 'object' && address !== null ? address.port : at.port }
    },
  }
}

/** Fastify with our limits, our errors and our count of requests. */
function createApp(limits: typeof serverLimits, { log, metrics }: PlatformOptions): FastifyInstance {
  const app = fastify({
    logger: false,
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.request,
    keepAliveTimeout: limits.keepAlive,
    forceCloseConnections: 'idle',
    http: {
      headersTimeout: limits.headers,
      connectionsCheckingInterval: limits.sweep,
      maxHeaderSize: limits.headerBytes,
    },
    clientErrorHandler: (error, socket) => {
      const status = answerBrokenRequest(error, socket)
      if (status !== undefined) count('unmatched', 'unmatched', status, 0)
    },
    // Bodies are read by zod and nothing is serialised by schema: ajv and its companion stay out of memory (10 MB).
    schemaController: { compilersFactory: { buildValidator: never, buildSerializer: never } },
  })
  const count = requestCount(metrics)
  shareConnections(app.server, limits.connections)
  app.decorateRequest('caller', null)
  app.setErrorHandler(errorHandler(log, limits.lateRefusals))
  app.setNotFoundHandler(() => {
    throw noSuchRoute
  })
  if (isTracing()) traceRequests(app)
  app.addHook('onResponse', async (request, reply) => {
    const path = request.is404 ? 'unmatched' : (request.routeOptions.url ?? 'unmatched')
    count(request.method, path, reply.statusCode, reply.elapsedTime / 1000)
  })
  return app
}

/** By addresses, as in places.ts: what one of them opens keeps no other out. What finds no place is closed at once. */
function shareConnections(server: Server, total: number): void {
  const unbounded = { pair: Infinity, destination: Infinity, caller: Infinity }
  const places = new Places({ ...unbounded, total, reserved: 0 })
  server.on('connection', (socket) => {
    const place = places.take({ namespace: addressKey(socket.remoteAddress ?? '') })
    if (typeof place === 'string') socket.destroy()
    else socket.once('close', place)
  })
}

const noSuchRoute = new Refusal(404, 'not_found', 'there is no such route')

/** A span around each request, in which its handler runs. */
function traceRequests(app: FastifyInstance): void {
  const spans = new WeakMap<object, OpenSpan>()
  app.addHook('onRequest', (request, _reply, done) => {
    const path = request.routeOptions.url ?? 'unmatched'
    const span = openSpan('platform request', () => ({ 'http.request.method': request.method, 'http.route': path }))
    if (!span) return done()
    spans.set(request, span)
    span.within(done)
  })
  app.addHook('onResponse', async (request, reply) => {
    spans.get(request)?.end({ 'http.response.status_code': reply.statusCode })
  })
}

const never = () => {
  throw new Error('routes have no Fastify schemas')
}
