/**
 * Who calls: an agent by the token of its workspace, or an admin. There is no third way in, and no first call without
 * a token. Every failure is the same 401, so that an answer says nothing about which tokens or workspaces exist.
 */
import { hash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { Duration } from '../duration.ts'
import type { AgentStore } from '../store/agent-store.ts'
import type { WorkspaceId } from '../store/workspace-store.ts'
import { fromStore } from './errors.ts'
import { type Rate, rateLimit } from './rate-limit.ts'
import { Refusal } from './refusal.ts'

export type Caller =
  { readonly kind: 'admin' } | { readonly kind: 'workspace'; readonly id: WorkspaceId; readonly tokenHash: Buffer }

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
  readonly agents: Pick<AgentStore, 'authenticate'>
  readonly adminToken: string | undefined
  /** Requests of one caller. */
  readonly callerRate: Rate
  /** Refused ones of one address, past which all of that address waits before the store is asked again. */
  readonly refusedRate: Rate
}

/** Makes the hooks that find the caller. */
export function authentication({ agents, adminToken, callerRate, refusedRate }: AuthOptions) {
  const adminHash = adminToken === undefined ? undefined : tokenHash(adminToken)
  const callers = rateLimit(callerRate)
  const refused = rateLimit(refusedRate, 1 << 12)
  const met = knownTokens()

  async function identify(hash: Buffer): Promise<Caller | undefined> {
    // Hashes have one length, so the comparison takes one time whatever the guess.
    if (adminHash !== undefined && timingSafeEqual(hash, adminHash)) return { kind: 'admin' }
    const id = await fromStore(agents.authenticate(hash))
    if (id === undefined) return undefined
    met.remember(hash, id)
    return { kind: 'workspace', id, tokenHash: hash }
  }

  /** The hash of the token that a request brings. An address that only guesses waits before anybody is asked. */
  function broughtBy(request: FastifyRequest): Buffer {
    const wait = refused.wait(request.ip)
    if (wait > 0) throw tooMany(wait)
    const token = bearer.exec(request.headers.authorization ?? '')?.[1]
    return token === undefined ? refuse(request) : tokenHash(token)
  }

  function refuse(request: FastifyRequest): never {
    refused.charge(request.ip)
    throw unauthorized
  }

  function admit(request: FastifyRequest, caller: Caller): void {
    const pause = callers.take(caller.kind === 'admin' ? 'admin' : caller.id)
    if (pause > 0) throw tooMany(pause)
    request.caller = caller
  }

  async function authenticate(request: FastifyRequest): Promise<void> {
    admit(request, (await identify(broughtBy(request))) ?? refuse(request))
  }

  /**
   * The hook of a route whose own statement looks at the token (`Caller.tokenHash`) where it writes, so that what was
   * revoked is refused at once, on every replica: here it is enough that the token was a live one some time.
   */
  async function recognize(request: FastifyRequest): Promise<void> {
    const hash = broughtBy(request)
    const id = met.find(hash)
    const caller: Caller | undefined =
      id === undefined ? await identify(hash) : { kind: 'workspace', id, tokenHash: hash }
    admit(request, caller ?? refuse(request))
  }

  /** For such a route when its statement found no live token with a live row: throws unless the token is a live one. */
  async function recheck(request: FastifyRequest): Promise<void> {
    const caller = callerOf(request)
    if (caller.kind === 'admin') return
    met.forget(caller.tokenHash)
    if ((await identify(caller.tokenHash)) === undefined) refuse(request)
  }

  return { authenticate, recognize, recheck }
}

/** Tokens kept in memory, by their hashes: a bounded number, the ones longest known go first. */
const mostKnown = 1 << 15

function knownTokens() {
  const known = new Map<string, WorkspaceId>()
  const keyOf = (hash: Buffer): string => hash.toString('latin1')
  return {
    find: (hash: Buffer) => known.get(keyOf(hash)),
    forget: (hash: Buffer) => known.delete(keyOf(hash)),
    remember(hash: Buffer, id: WorkspaceId): void {
      if (known.size >= mostKnown) for (const oldest of known.keys().take(1)) known.delete(oldest)
      known.set(keyOf(hash), id)
    },
  }
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

export function requireAdmin(request: FastifyRequest): void {
  if (callerOf(request).kind !== 'admin') throw adminsOnly
}
