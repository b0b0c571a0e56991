/** POST /admin/workspaces/{id}/tokens: an admin gets a token for an agent that the operator does not start itself. */
import { randomBytes } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { AgentStore } from '../store/agent-store.ts'
import { requireAdmin, tokenHash } from './auth.ts'
import { pathId } from './body.ts'
import { fromStore } from './errors.ts'
import { Refusal } from './refusal.ts'

/** 256 bits, as an agent carries them and as they are kept. */
export function newToken(): { readonly text: string; readonly hash: Buffer; readonly prefix: string } {
  const text = randomBytes(32).toString('base64url')
  return { text, hash: tokenHash(text), prefix: text.slice(0, 8) }
}

export function tokenRoute(app: FastifyInstance, agents: Pick<AgentStore, 'mintToken'>): void {
  app.post('/admin/workspaces/:id/tokens', async (request, reply) => {
    requireAdmin(request)
    const workspace = pathId(request.params)
    const { text, hash, prefix } = newToken()
    const minted = await fromStore(agents.mintToken(workspace, hash, prefix))
    switch (minted) {
      case 'absent':
        throw new Refusal(404, 'workspace_not_found', 'there is no such workspace')
      case 'full':
        throw new Refusal(429, 'too_many_tokens', 'the workspace has 50 live tokens; revoke one first')
      case 'minted':
        // The only time it is shown: what is stored is its hash.
        return reply.code(201).header('cache-control', 'no-store').send({ auth_token: text, prefix })
    }
  })
}
