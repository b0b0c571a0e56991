/**
 * How somebody who runs an external agent gets it connected:
 *   POST /workspaces/{id}/external/rotate       a new token in place of all others, shown this once
 *   GET  /workspaces/{id}/external/connection   the same without a token: nothing is minted
 * Both are for admins and for the agent itself: with a token that has leaked it can end what the token opens.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { AgentStore } from '../store/agent-store.ts'
import type { WorkspaceId } from '../store/workspace-store.ts'
import { requireSelfOrAdmin } from './auth.ts'
import { pathId } from './body.ts'
import { fromStore } from './errors.ts'
import { Refusal } from './refusal.ts'
import { newToken } from './tokens.ts'

export interface ConnectionOptions {
  readonly agents: Pick<AgentStore, 'rotateToken' | 'address'>
  /** By which agents reach us. */
  readonly platformUrl: string
  /** The rate of rotations. */
  readonly onRotate: (request: FastifyRequest) => Promise<void>
}

const notFound = new Refusal(404, 'workspace_not_found', 'there is no such workspace')
const notExternal = new Refusal(
  400,
  'not_external',
  'the operator runs this agent itself and gives it its token at each start: to renew that, restart the workspace',
)

export function connectionRoutes(app: FastifyInstance, { agents, platformUrl, onRotate }: ConnectionOptions): void {
  app.post('/workspaces/:id/external/rotate', { onRequest: onRotate }, async (request, reply) => {
    const workspace = pathId(request.params)
    requireSelfOrAdmin(request, workspace)
    const { text, hash, prefix } = newToken()
    const outcome = await fromStore(agents.rotateToken(workspace, hash, prefix))
    if (outcome === 'absent') throw notFound
    if (outcome === 'notExternal') throw notExternal
    return await show(reply, workspace, text)
  })
  app.get('/workspaces/:id/external/connection', async (request, reply) => {
    const workspace = pathId(request.params)
    requireSelfOrAdmin(request, workspace)
    const known = await fromStore(agents.address(workspace))
    if (!known) throw notFound
    if (known.backend !== 'external') throw notExternal
    return await show(reply, workspace, '')
  })

  /** The one place where the payload is made. Only `auth_token` is secret; what is to be copied names a variable. */
  async function show(reply: FastifyReply, workspace: WorkspaceId, token: string) {
    const base = platformUrl.replace(/\/$/, '')
    const connection = {
      workspace_id: workspace,
      platform_url: base,
      auth_token: token,
      registry_endpoint: `${base}/registry/register`,
      heartbeat_endpoint: `${base}/registry/heartbeat`,
      messages_endpoint: `${base}/workspaces/${workspace}/messages/take`,
      curl_register_template: curl(base, workspace),
    }
    return await reply.header('cache-control', 'no-store').send({ connection })
  }
}

const curl = (base: string, workspace: WorkspaceId): string =>
  [
    `# Put the token into MOLECULE_WORKSPACE_TOKEN, and the address of your agent into AGENT_URL.`,
    `curl --fail-with-body -X POST '${base}/registry/register' \\`,
    `  -H "Authorization: Bearer $MOLECULE_WORKSPACE_TOKEN" -H 'Content-Type: application/json' \\`,
    `  -d "{\\"id\\":\\"${workspace}\\",\\"url\\":\\"$AGENT_URL\\",\\"agent_card\\":{\\"name\\":\\"my agent\\"}}"`,
  ].join('\n')
