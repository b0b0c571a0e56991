/** GET /workspaces/{id}/state: what a remote agent asks to learn whether it should go on. */
import type { FastifyInstance } from 'fastify'
import type { AgentStore } from '../store/agent-store.ts'
import { requireSelf } from './auth.ts'
import { pathId } from './body.ts'
import { fromStore } from './errors.ts'

export function stateRoute(app: FastifyInstance, agents: Pick<AgentStore, 'address'>): void {
  app.get('/workspaces/:id/state', async (request, reply) => {
    const workspace = pathId(request.params)
    requireSelf(request, workspace)
    const known = await fromStore(agents.address(workspace))
    if (!known || known.status === 'removed')
      return reply.code(404).send({ status: 'removed', paused: false, deleted: true })
    return { status: known.status, paused: known.status === 'paused', deleted: false }
  })
}
