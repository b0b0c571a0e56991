/** POST /registry/update-card: an agent says what it can do, whenever that changes. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { AgentStore } from '../store/agent-store.ts'
import { requireSelf } from './auth.ts'
import { id, jsonObject, parse } from './body.ts'
import { fromStore } from './errors.ts'
import { workspaceGone } from './register.ts'

const update = z.object({ workspace_id: id, agent_card: jsonObject })

export function updateCardRoute(app: FastifyInstance, agents: Pick<AgentStore, 'updateCard'>): void {
  const handler = async (request: FastifyRequest) => {
    const body = parse(update, request.body)
    requireSelf(request, body.workspace_id)
    if (!(await fromStore(agents.updateCard(body.workspace_id, body.agent_card)))) throw workspaceGone
    return { status: 'updated' }
  }
  app.post('/registry/update-card', { handler })
}
