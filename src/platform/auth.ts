/**
 * Who calls: an agent by the token of its workspace, or an admin. There is no third way in, and no first call without
 * a token. Every failure is the same 401, so that an answer says nothing about which tokens or workspaces exist.
 */
import { hash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { Duration } from '../duration.ts'
import type { AgentStore, TokenOwner } from '../store/agent-store.ts'
import type { WorkspaceId } from '../store/workspace-store.ts'
import { fromStore } from './errors.ts'
import { knownTokens } from './known-tokens.ts'
import { addressKey, type Rate, type RateLimit, rateLimit } from './rate-limit.ts'
import { Refusal } from './refusal.ts'

export type Caller =
  { readonly kind: 'admin' } | ({ readonly kind: 'workspace'; readonly tokenHash: Buffer } & TokenOwner)

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by `authenticate` before the body is read; null on routes that are open. */
    caller: Caller | null
  }
}

/** What a token is stored and looked up as. */
export const tokenHash = (token: string): Buffer => hash('sha256', token, 'buffer')

const bearer = /^Bearer +([\x21-\x7e]{16,512})$/i

const unauthorized = new Refusal(401, 'unauthorized', 'a valid bearer token is required')
const adminsOnly = new Refusal(403, 'forbidden', 'this needs the admin token')

function tooMany(retryAfter: Duration): Refusal {
  return new Refusal(429, 'too_many_requests', 'too many requests; slow down', { retryAfter })
}

export interface AuthOptions {
  readonly agents: Pick<AgentStore, 'authenticate' | 'liveTokens'>
  readonly adminToken: string | undefined
  /** Requests of one caller. */
  readonly callerRate: Rate
  /** Look-ups of tokens that are not known yet, for one address. Past it they wait; known ones never do. */
  readonly unknownRate: Rate
  /** The same of all addresses. */
  readonly unknownTotalRate: Rate
  /** Requests without a token, of one address. */
  readonly openRate: Rate
  readonly limited: (limit: RateLimited) => void
}

/** Whose rate held a request back. */
export type RateLimited = 'bytes' | 'caller' | 'card' | 'messages' | 'take' | 'rotate' | 'unknownToken' | 'open'

/** Makes the hooks that find the caller. */
export function authentication(options: AuthOptions) {
  const { agents, adminToken, limited } = options
  const adminHash = adminToken === undefined ? undefined : tokenHash(adminToken)
  const callers = rateLimit(options.callerRate)
  const unknown = rateLimit(options.unknownRate)
  const unknownTotal = rateLimit(options.unknownTotalRate, 1)
  const open = rateLimit(options.openRate)
  const met = knownTokens(agents)

  // Hashes have one length, so the comparison takes one time whatever the guess.
  const isAdmin = (hash: Buffer) => adminHash !== undefined && timingSafeEqual(hash, adminHash)

  async function identify(hash: Buffer): Promise<Caller | undefined> {
    if (isAdmin(hash)) return { kind: 'admin' }
    const owner = await fromStore(agents.authenticate(hash))
    if (owner === undefined) {
      met.forget(hash)
      return undefined
    }
    met.remember(hash, owner)
    return { kind: 'workspace', ...owner, tokenHash: hash }
  }

  function wait(limit: RateLimited, pause: Duration): void {
    if (pause === 0) return
    limited(limit)
    throw tooMany(pause)
  }

  /** The hook of what is open to everybody, and of what is not there: by address. */
  async function admitOpen({ ip }: Pick<FastifyRequest, 'ip'>): Promise<void> {
    wait('open', open.take(addressKey(ip)))
  }

  /**
   * The hash of the token that a request brings, and its caller where that is known. Who is known goes on at its own rate,
   * whatever others of its address do; only what nobody knows waits for the guesses before it, and nothing is asked for it.
   */
  async function presented(request: FastifyRequest): Promise<{ hash: Buffer; known: Caller | undefined }> {
    const token = bearer.exec(request.headers.authorization ?? '')?.[1]
    if (token === undefined) {
      await admitOpen(request)
      throw unauthorized
    }
    const hash = tokenHash(token)
    const owner = met.find(hash)
    const known: Caller | undefined = isAdmin(hash)
      ? { kind: 'admin' }
      : owner && { kind: 'workspace', ...owner, tokenHash: hash }
    if (known) {
      pace('caller', callers, known)
      return { hash, known }
    }
    const pause = unknown.take(addressKey(request.ip)) || unknownTotal.take('')
    if (pause > 0) met.learn()
    wait('unknownToken', pause)
    return { hash, known }
  }

  function pace(name: RateLimited, limit: RateLimit, caller: Caller): void {
    wait(name, limit.take(caller.kind === 'admin' ? 'admin' : caller.id))
  }

  async function authenticate(request: FastifyRequest): Promise<void> {
    const { hash, known } = await presented(request)
    const caller = await identify(hash)
    if (caller === undefined) throw unauthorized
    if (known === undefined) pace('caller', callers, caller)
    request.caller = caller
  }

  /**
   * The hook of a route whose own statement looks at the token (`Caller.tokenHash`) where it writes, so that what was
   * revoked is refused at once, on every replica: here it is enough that the token was a live one some time.
   */
  async function recognize(request: FastifyRequest): Promise<void> {
    const { hash, known } = await presented(request)
    const caller = known ?? (await identify(hash))
    if (caller === undefined) throw unauthorized
    if (known === undefined) pace('caller', callers, caller)
    request.caller = caller
  }

  /** For such a route when its statement found no live token with a live row: throws unless the token is a live one. */
  async function recheck(request: FastifyRequest): Promise<void> {
    const caller = callerOf(request)
    if (caller.kind === 'admin') return
    if ((await identify(caller.tokenHash)) === undefined) throw unauthorized
  }

  /** The hook of a route that has a rate of its own, beside that of its caller. */
  function paced(name: RateLimited, rate: Rate): (request: FastifyRequest) => Promise<void> {
    const limit = rateLimit(rate)
    return async (request) => pace(name, limit, callerOf(request))
  }

  /** The same for a rate that the callers of a namespace share. Admins have none. */
  function pacedTogether(name: RateLimited, rate: Rate): (request: FastifyRequest) => Promise<void> {
    const limit = rateLimit(rate)
    return async (request) => {
      const caller = callerOf(request)
      if (caller.kind === 'workspace') wait(name, limit.take(caller.namespace))
    }
  }

  return { authenticate, recognize, recheck, admitOpen, paced, pacedTogether }
}

/** The caller that the hook found. */
export function callerOf(request: FastifyRequest): Caller {
  if (request.caller === null) throw unauthorized
  return request.caller
}

/** Throws a 403 unless the caller is this very workspace. Gives the hash of its token. */
export function requireSelf(request: FastifyRequest, id: WorkspaceId): Buffer {
  const caller = callerOf(request)
  if (caller.kind === 'workspace' && caller.id === id) return caller.tokenHash
  throw new Refusal(403, 'forbidden', 'the token belongs to another workspace')
}

/** Throws a 403 unless the caller is this very workspace or an admin. */
export function requireSelfOrAdmin(request: FastifyRequest, id: WorkspaceId): void {
  if (callerOf(request).kind !== 'admin') requireSelf(request, id)
}

export function requireAdmin(request: FastifyRequest): void {
  if (callerOf(request).kind !== 'admin') throw adminsOnly
}
