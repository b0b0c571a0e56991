/**
 * What an agent that polls does with its messages:
 *   POST /workspaces/{id}/messages/take   hands out the oldest, each again only when it was not acknowledged in time
 *   POST /workspaces/{id}/messages/ack    ends them, once they were worked on
 * An agent that crashes in between gets them again and knows them by their id.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { seconds } from '../duration.ts'
import { type AgentStore, takenBytes } from '../store/agent-store.ts'
import { requireSelf } from './auth.ts'
import { parse, pathId } from './body.ts'
import { fromStore } from './errors.ts'

/** How long an agent has for what it took. */
const lease = seconds(60)

const take = z.object({ limit: z.int().min(1).max(100).default(50) })
const ack = z.object({ ids: z.array(z.guid()).max(1000) })

export interface InboxOptions {
  readonly agents: Pick<AgentStore, 'takeMessages' | 'waitingBytes' | 'acknowledge'>
  /** The rate of `take`. */
  readonly onTake: (request: FastifyRequest) => Promise<void>
  /** Throws where there is no room for an answer of so many bytes. */
  readonly holdAnswer: (request: FastifyRequest, reply: FastifyReply, bytes: number) => void
}

export function inboxRoutes(app: FastifyInstance, { agents, onTake, holdAnswer }: InboxOptions): void {
  const takeHandler = async (request: FastifyRequest, reply: FastifyReply) => {
    const workspace = pathId(request.params)
    requireSelf(request, workspace)
    const { limit } = parse(take, request.body ?? {})
    // Nearly every inbox is empty or small: by what could wait there, a few at once would be too many.
    const waiting = await fromStore(agents.waitingBytes(workspace))
    if (waiting > 0) holdAnswer(request, reply, Math.min(waiting, takenBytes))
    const messages = await fromStore(agents.takeMessages(workspace, limit, lease))
    // Bodies go out as PostgreSQL wrote them: read and written again, a few megabytes would be many for a while.
    const items = messages.map(({ id, from, method, body, at }) => {
      const head = JSON.stringify({ id, from: from ?? null, method, queued_at: at.toISOString() })
      return `${head.slice(0, -1)},"body":${body}}`
    })
    const answer = `{"messages":[${items.join(',')}],"lease_seconds":${lease / 1000}}`
    return await reply.type('application/json').send(answer)
  }
  const ackHandler = async (request: FastifyRequest) => {
    const workspace = pathId(request.params)
    requireSelf(request, workspace)
    const { ids } = parse(ack, request.body)
    return { acknowledged: await fromStore(agents.acknowledge(workspace, ids)) }
  }
  app.post('/workspaces/:id/messages/take', { handler: takeHandler, onRequest: onTake })
  app.post('/workspaces/:id/messages/ack', { handler: ackHandler })
}
