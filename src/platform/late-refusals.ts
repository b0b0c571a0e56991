/**
 * What is refused by a bound, or for its token, is told late: a caller that repeats it at once, on many connections, has no
 * more than a few refusals a second made on each. Nothing else waits: what is wrong with a request, or with an agent, is told
 * at once.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Duration, milliseconds, seconds } from '../duration.ts'
import type { Refusal } from './refusal.ts'
import { onceOver } from './reply-end.ts'

/** Longer bodies are not read while their refusal waits, but for what is on the way: Node reads and drops the rest afterwards. */
const smallBytes = 64 * 1024

interface Lateness {
  readonly after: Duration
  /** How many wait at once. More than those are told at once. */
  readonly most: number
}

/** Of large bodies, and of all others. */
export type LateRefusalLimits = Readonly<Record<'large' | 'small', Lateness>>

export const lateRefusals: LateRefusalLimits = {
  large: { after: seconds(2), most: 64 },
  small: { after: milliseconds(500), most: 512 },
}

/** Gives what a refusal waits for; undefined: it is told at once. */
export function createLateRefusals(limits: LateRefusalLimits) {
  const waiting = { large: 0, small: 0 }
  return (refusal: Refusal, request: FastifyRequest, reply: FastifyReply): Promise<void> | undefined => {
    const size = isLarge(request) ? 'large' : 'small'
    const { after, most } = limits[size]
    if (!isOfBound(refusal) || request.caller?.kind === 'admin' || waiting[size] >= most) return undefined
    waiting[size]++
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, after)
    // A caller that has gone waits for nothing.
    onceOver(reply, resolve)
    return promise.finally(() => {
      clearTimeout(timer)
      waiting[size]--
    })
  }
}

/** A token that is not valid, too: each was looked up in the database. */
const isOfBound = ({ status, code }: Refusal): boolean => status === 401 || status === 429 || code === 'busy'

const isLarge = ({ headers }: FastifyRequest): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > smallBytes
