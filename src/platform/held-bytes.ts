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
import { onceOver } from './reply-end.ts'

const mebi = 1024 * 1024
const none = { pair: Infinity, destination: Infinity }

/** Bytes; `reserved` of them for admins. */
export const heldLimits = {
  request: { ...none, total: 16 * mebi, reserved: mebi, caller: mebi / 4 },
  message: { ...none, total: 32 * mebi, reserved: 2 * mebi, caller: 4 * mebi },
  answer: { ...none, total: 32 * mebi, reserved: 0, caller: 4 * mebi },
}
export type Held = keyof typeof heldLimits

const busyWith: Readonly<Partial<Record<Bound, string>>> = { caller: 'of this caller', namespace: 'of this namespace' }

export function createHeldBytes(metrics: Pick<Metrics, 'heldBytes' | 'heldRefused'>, limits = heldLimits) {
  const places = {
    request: new Places(limits.request),
    message: new Places(limits.message),
    answer: new Places(limits.answer),
  }

  /** Throws a Refusal where there is no place for so many bytes; else they are held until the reply is over. */
  function hold(kind: Held, bytes: number, caller: Caller, reply: FastifyReply): void {
    const claim = caller.kind === 'admin' ? {} : { caller: caller.id, namespace: caller.namespace }
    const place = places[kind].take(claim, bytes)
    if (typeof place === 'string') {
      metrics.heldRefused.inc({ kind, bound: place })
      const whose = busyWith[place] ?? 'of all callers'
      throw new Refusal(503, 'busy', `too many bytes ${whose} are under way`, { retryAfter: seconds(1) })
    }
    metrics.heldBytes.inc({ kind }, bytes)
    onceOver(reply, () => {
      place()
      metrics.heldBytes.dec({ kind }, bytes)
    })
  }

  return {
    /** A hook, after those that find the caller: the body by its length; one that does not say it, by the limit of its route. */
    holdBody: async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
      const { 'content-length': length, 'transfer-encoding': chunked } = request.headers
      const { bodyLimit } = request.routeOptions
      const bytes = chunked === undefined ? Math.min(Number(length ?? 0), bodyLimit) : bodyLimit
      if (bytes > 0) hold(bodyLimit >= mebi ? 'message' : 'request', bytes, callerOf(request), reply)
    },
    /** Before an answer of up to so many bytes is made. Whoever has not read it in time loses the connection. */
    holdAnswer: (request: FastifyRequest, reply: FastifyReply, bytes: number, read: Duration = seconds(30)): void => {
      hold('answer', bytes, callerOf(request), reply)
      const late = setTimeout(() => reply.raw.destroy(), read)
      onceOver(reply, () => clearTimeout(late))
    },
  }
}
