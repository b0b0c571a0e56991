/**
 * Bytes of bodies and answers that are in memory at once, counted before they are: a request whose bytes find no place is
 * refused before its body is read. Beats and registrations have places apart from messages, so that large messages keep no
 * agent from being heard; what an inbox hands out has its own, since a caller decides when it reads.
 *
 * A place is held until the connection has the answer, or ends: a body comes within `serverLimits.request`, an answer is
 * read within `read`. By namespace as in places.ts.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Duration, seconds } from '../duration.ts'
import { type Bound, Places } from '../places.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { type Caller, callerOf } from './auth.ts'
import { Refusal } from './refusal.ts'
import { rateLimit } from './rate-limit.ts'
import { onceOver } from './reply-end.ts'

const mebi = 1024 * 1024
const none = { pair: Infinity, destination: Infinity }

/** Bytes; `reserved` of them for admins. */
export const heldLimits = {
  request: { ...none, total: 16 * mebi, reserved: mebi, caller: mebi / 4 },
  message: { ...none, total: 16 * mebi, reserved: 2 * mebi, caller: 2 * mebi },
  answer: { ...none, total: 32 * mebi, reserved: 0, caller: 4 * mebi },
}
export type Held = keyof typeof heldLimits

/** Bytes of messages a second: what each leaves behind in memory goes only when V8 collects it. */
export const byteRates = {
  caller: { perSecond: mebi / 2, burst: 4 * mebi },
  namespace: { perSecond: mebi, burst: 4 * mebi },
}

const busyWith: Readonly<Partial<Record<Bound, string>>> = { caller: 'of this caller', namespace: 'of this namespace' }

export function createHeldBytes(
  metrics: Pick<Metrics, 'heldBytes' | 'heldRefused' | 'rateLimited'>,
  limits = heldLimits,
  rates = byteRates,
) {
  const [ofCaller, ofNamespace] = [rateLimit(rates.caller), rateLimit(rates.namespace)]
  const places = {
    request: new Places(limits.request),
    message: new Places(limits.message),
    answer: new Places(limits.answer),
  }

  /** Throws a Refusal where there is no place for so many bytes; else they are held until the reply is over, or freed before. */
  function hold(kind: Held, bytes: number, caller: Caller, reply: FastifyReply): () => void {
    const claim = caller.kind === 'admin' ? {} : { caller: caller.id, namespace: caller.namespace }
    const place = places[kind].take(claim, bytes)
    if (typeof place === 'string') {
      metrics.heldRefused.inc({ kind, bound: place })
      const whose = busyWith[place] ?? 'of all callers'
      throw new Refusal(503, 'busy', `too many bytes ${whose} are under way`, { retryAfter: seconds(1) })
    }
    metrics.heldBytes.inc({ kind }, bytes)
    let held = true
    const free = () => {
      if (!held) return
      held = false
      place()
      metrics.heldBytes.dec({ kind }, bytes)
    }
    onceOver(reply, free)
    return free
  }

  /** After the place: a request that finds none takes nothing of the rate. */
  function pace(bytes: number, caller: Caller, free?: () => void): void {
    if (caller.kind === 'admin') return
    const refuse = (whose: string, retryAfter: Duration): never => {
      free?.()
      metrics.rateLimited.inc({ limit: 'bytes' })
      throw new Refusal(429, 'too_many_bytes', `too many bytes of messages a second ${whose}`, { retryAfter })
    }
    const own = ofCaller.take(caller.id, undefined, bytes)
    if (own > 0) refuse('of this caller', own)
    const shared = ofNamespace.take(caller.namespace, undefined, bytes)
    if (shared > 0) refuse('of this namespace', shared)
  }

  return {
    /** A hook, after those that find the caller: the body by its length; one that does not say it, by the limit of its route. */
    holdBody: async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
      const { 'content-length': length, 'transfer-encoding': chunked } = request.headers
      const { bodyLimit } = request.routeOptions
      const bytes = chunked === undefined ? Math.min(Number(length ?? 0), bodyLimit) : bodyLimit
      if (bytes === 0) return
      const [kind, caller] = [bodyLimit >= mebi ? ('message' as const) : ('request' as const), callerOf(request)]
      const free = hold(kind, bytes, caller, reply)
      // What is sent in chunks is paced once its length is known.
      if (kind === 'message' && chunked === undefined) pace(bytes, caller, free)
    },
    /** Paces a message that did not say its length, by that of its body. */
    paceChunked: (request: FastifyRequest, body: string): void => {
      if (request.headers['transfer-encoding'] !== undefined) pace(Buffer.byteLength(body), callerOf(request))
    },
    /** Before an answer of up to so many bytes is made. Whoever has not read it in time loses the connection. */
    holdAnswer: (request: FastifyRequest, reply: FastifyReply, bytes: number, read: Duration = seconds(30)): void => {
      hold('answer', bytes, callerOf(request), reply)
      const late = setTimeout(() => reply.raw.destroy(), read)
      onceOver(reply, () => clearTimeout(late))
    },
  }
}
