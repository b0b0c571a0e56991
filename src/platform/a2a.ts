/**
 * POST /workspaces/{id}/a2a: one message to an agent, its answer back.
 * Order of the checks (spec/platform-api §4): who calls, may they talk, is it a request, how is it delivered, is the
 * agent there. The first two come before the body is read.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Duration, seconds } from '../duration.ts'
import { reasonOf } from '../errors.ts'
import type { AgentAddress, AgentStore, InboxFull, Message } from '../store/agent-store.ts'
import type { Phase, WorkspaceId } from '../store/workspace-store.ts'
import type { Logger } from '../telemetry/log.ts'
import { callerOf } from './auth.ts'
import { pathId } from './body.ts'
import { fromStore } from './errors.ts'
import { destinationOf, type Forward } from './forward.ts'
import { rpcRequest } from './json-rpc.ts'
import { Refusal } from './refusal.ts'
import { onceOver } from './reply-end.ts'
import type { Wakes } from './wakes.ts'

export interface A2aOptions {
  readonly agents: Pick<AgentStore, 'beginMessage' | 'mayTalk' | 'logMessage'>
  readonly forward: Forward
  readonly wakes: Wakes
  readonly log: Logger
  /** How often a message that takes long counts as traffic again: an agent that answers is not idle. */
  readonly traffic: Duration
  /** A message found no room in an inbox, and by whose limit. */
  readonly inboxRefused: (by: InboxFull) => void
  /** Throws where the namespace of the caller sends too many. */
  readonly onMessage: (request: FastifyRequest) => Promise<void>
  /** Throws where a message that did not say its length is more than may be sent a second. */
  readonly paceChunked: (request: FastifyRequest, body: string) => void
}

/** When a workspace of this phase may answer: soon while it moves by itself, later where somebody must act. */
const comeAgain: Readonly<Record<Exclude<Phase, 'online' | 'degraded' | 'removed'>, Duration>> = {
  provisioning: seconds(15),
  offline: seconds(15),
  hibernating: seconds(15),
  hibernated: seconds(15),
  awaiting_agent: seconds(60),
  failed: seconds(60),
  paused: seconds(60),
}

const inboxFull: Readonly<Record<InboxFull, Refusal>> = {
  workspace: full('of the agent'),
  namespace: full('of its namespace'),
  total: full('of this operator'),
}

const notFound = new Refusal(404, 'workspace_not_found', 'there is no such workspace')

export function a2aRoute(
  app: FastifyInstance,
  { agents, forward, wakes, log, traffic, inboxRefused, onMessage, paceChunked }: A2aOptions,
): void {
  const bodyLimit = 1024 * 1024
  app.post('/workspaces/:id/a2a', { bodyLimit, onRequest: [onMessage, mayTalk] }, async (request, reply) => {
    const rpc = textOf(request)
    paceChunked(request, rpc.body)
    const to = await fromStore(agents.beginMessage(pathId(request.params)))
    if (!to || to.status === 'removed') throw notFound
    const from = senderOf(request)
    return to.deliveryMode === 'poll' ? queue(to, rpc, from) : deliver(to, rpc, from, reply)
  })

  /** An unknown workspace is a 403 like a forbidden one: agents cannot probe for others. */
  async function mayTalk(request: FastifyRequest): Promise<void> {
    const to = pathId(request.params)
    const from = senderOf(request)
    if (from === undefined || (await fromStore(agents.mayTalk(from, to)))) return
    throw new Refusal(403, 'forbidden', 'the two workspaces may not talk')
  }

  /** The row is the message: the agent fetches it, so an answer goes out only once it is kept. */
  async function queue(to: AgentAddress, rpc: RpcText, from: WorkspaceId | undefined) {
    const { method, body } = rpc
    const full = await fromStore(agents.logMessage({ from, to: to.id, method, outcome: 'queued', body }))
    if (full !== undefined) {
      inboxRefused(full)
      throw inboxFull[full]
    }
    return { status: 'queued', delivery_mode: 'poll', method }
  }

  async function deliver(to: AgentAddress, rpc: RpcText, from: WorkspaceId | undefined, reply: FastifyReply) {
    if (isAsleep(to.status)) wakes.asked(to.id)
    requireReady(to)
    const gone = new AbortController()
    const speaking = setInterval(() => void agents.beginMessage(to.id).catch(() => {}), traffic)
    onceOver(reply, () => {
      clearInterval(speaking)
      gone.abort()
    })
    const message = { from, to: to.id, method: rpc.method } as const
    try {
      const answer = await forward.send(destinationOf(to, from), rpc.body, gone.signal)
      wakes.accepted(to.id)
      note({ ...message, outcome: 'ok' })
      reply.code(answer.status).header('content-type', answer.contentType).header('x-content-type-options', 'nosniff')
      return await reply.send(answer.body)
    } catch (error) {
      const code = error instanceof Refusal ? error.code : 'internal'
      // What found no place was not sent, and is counted: a row for each would let a flood fill the table.
      if (code !== 'busy') note({ ...message, outcome: 'error', detail: code })
      throw error
    }
  }

  /** An activity row that must not hold up or spoil an answer that is already there. */
  function note(message: Message): void {
    agents.logMessage(message).catch((error: unknown) => log.warn({ err: reasonOf(error) }, 'activity not recorded'))
  }
}

interface RpcText {
  readonly method: string
  readonly body: string
}

/** What was sent is let go: as objects it may take many times its length, for as long as the answer takes. */
function textOf(request: FastifyRequest): RpcText {
  const rpc = rpcRequest(request.body)
  request.body = undefined
  return { method: rpc.method, body: JSON.stringify(rpc) }
}

function full(whose: string): Refusal {
  const message = `too many messages ${whose} wait to be fetched`
  return new Refusal(429, 'inbox_full', message, { retryAfter: seconds(30) })
}

function senderOf(request: FastifyRequest): WorkspaceId | undefined {
  const caller = callerOf(request)
  return caller.kind === 'workspace' ? caller.id : undefined
}

const isAsleep = (status: Phase): boolean => status === 'hibernating' || status === 'hibernated'

function requireReady({ status, reason }: AgentAddress): void {
  if (status === 'online' || status === 'degraded') return
  if (status === 'removed') throw notFound
  const waking = isAsleep(status)
  const why = waking ? ', and is waking' : reason === undefined ? '' : ` (${reason})`
  const message = `the workspace is ${status.replace('_', ' ')}${why}`
  throw new Refusal(503, `workspace_${status}`, message, { retryAfter: comeAgain[status], waking })
}
