/**
 * Who calls: an agent by the token of its workspace, or an admin. There is no third way in, and no first call without
 * a token. Every failure is the same 401, so that an answer says nothing about which tokens or workspaces exist.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import type { Duration } from '../duration.ts'
import type { AgentStore } from '../store/agent-store.ts'
import type { WorkspaceId } from '../store/workspace-store.ts'
import { fromStore } from './errors.ts'
import { type Rate, rateLimit } from './rate-limit.ts'
import { Refusal } from './refusal.ts'

export type Caller = { readonly kind: 'admin' } | { readonly kind: 'workspace'; readonly id: WorkspaceId }

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by `authenticate` before the body is read; null on routes that are open. */
    caller: Caller | null
  }
}

/** What a token is stored and looked up as. */
export const tokenHash = (token: string): Buffer => createHash('sha256').update(token).digest()

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

/** Makes the hook that finds the caller. */
export function authentication({ agents, adminToken, callerRate, refusedRate }: AuthOptions) {
  const adminHash = adminToken === undefined ? undefined : tokenHash(adminToken)
  const callers = rateLimit(callerRate)
  const refused = rateLimit(refusedRate, 1 << 12)

  async function identify(token: string): Promise<Caller | undefined> {
    const hash = tokenHash(token)
    // Hashes have one length, so the comparison takes one time whatever the guess.
    if (adminHash !== undefined && timingSafeEqual(hash, adminHash)) return { kind: 'admin' }
    const id = await fromStore(agents.authenticate(hash))
    return id === undefined ? undefined : { kind: 'workspace', id }
  }

  async function authenticate(request: FastifyRequest): Promise<void> {
    const wait = refused.wait(request.ip)
    if (wait > 0) throw tooMany(wait)
    const token = bearer.exec(request.headers.authorization ?? '')?.[1]
    const caller = token === undefined ? undefined : await identify(token)
    if (caller === undefined) {
      refused.charge(request.ip)
      throw unauthorized
    }
    const pause = callers.take(caller.kind === 'admin' ? 'admin' : caller.id)
    if (pause > 0) throw tooMany(pause)
    request.caller = caller
  }

  return { authenticate }
}

/** The caller that the hook found. */
export function callerOf(request: FastifyRequest): Caller {
  if (request.caller === null) throw unauthorized
  return request.caller
}

/** Throws a 403 unless the caller is this very workspace. */
export function requireSelf(request: FastifyRequest, id: WorkspaceId): void {
  const caller = callerOf(request)
  if (caller.kind === 'workspace' && caller.id === id) return
  throw new Refusal(403, 'forbidden', 'the token belongs to another workspace')
}

export function requireAdmin(request: FastifyRequest): void {
  if (callerOf(request).kind !== 'admin') throw adminsOnly
}
