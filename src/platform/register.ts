/** POST /registry/register: an agent says that it is there and where. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { seconds } from '../duration.ts'
import type { AgentAddress, AgentStore } from '../store/agent-store.ts'
import { callerOf, requireSelf, type Caller } from './auth.ts'
import { id, jsonObject, line, parse } from './body.ts'
import { fromStore, lookUpFailed, lookUpsBusy } from './errors.ts'
import { Refusal } from './refusal.ts'
import { type AddressRule, checkedUrl, LookUpFailed, LookUpsBusy, type Resolve, UrlRefused } from '../outbound.ts'

const registration = z.object({
  id,
  agent_card: jsonObject,
  url: z.string().max(2048).nullish(),
  delivery_mode: z.enum(['push', 'poll']).nullish(),
})

/** An agent chose some of the words of its refusal. */
const shown = line(512)

/** A token of a workspace whose row is gone: the agent has nothing left to do. */
export const workspaceGone = new Refusal(410, 'workspace_removed', 'the workspace was removed; shut down')

export interface RegisterOptions {
  readonly agents: Pick<AgentStore, 'register' | 'refuseRegistration' | 'address'>
  readonly rule: AddressRule
  readonly resolve: Resolve
}

export function registerRoute(app: FastifyInstance, { agents, rule, resolve }: RegisterOptions): void {
  const handler = async (request: FastifyRequest) => {
    try {
      return await registered(request)
    } catch (error) {
      // Whoever looks at the Workspace sees no answer of ours: why its agent is not there has to stand in the row.
      if (error instanceof Refusal && error.status === 400) await note(callerOf(request), error)
      throw error
    }
  }
  app.post('/registry/register', { handler })

  async function note(caller: Caller, { message }: Refusal): Promise<void> {
    if (caller.kind === 'workspace') await fromStore(agents.refuseRegistration(caller.id, shown.parse(message)))
  }

  async function registered(request: FastifyRequest) {
    const body = parse(registration, request.body)
    requireSelf(request, body.id)
    const known = await fromStore(agents.address(body.id))
    if (!known || known.status === 'removed') throw workspaceGone
    const mode = body.delivery_mode ?? known.deliveryMode
    const url = await urlToKeep(known, mode, body.url ?? '')
    const stored = await fromStore(
      agents.register({ id: body.id, url, agentCard: body.agent_card, deliveryMode: mode }),
    )
    if (!stored) throw workspaceGone
    return { status: 'registered', delivery_mode: mode }
  }
  /** Only an external agent is believed about its URL; of the others the operator knows it from the backend. */
  async function urlToKeep(known: AgentAddress, mode: 'push' | 'poll', given: string): Promise<string> {
    if (known.backend !== 'external' || mode === 'poll') return ''
    if (given === '')
      throw new Refusal(400, 'url_required', 'push delivery needs the url of the agent; or ask for poll')
    try {
      const claim = { caller: known.id, namespace: known.namespace }
      return await checkedUrl(given, rule, resolve, claim, seconds(5))
    } catch (error) {
      if (error instanceof LookUpsBusy) throw lookUpsBusy(error)
      if (error instanceof LookUpFailed) throw lookUpFailed(error)
      if (error instanceof UrlRefused) throw new Refusal(400, 'url_refused', `url cannot be used: ${error.message}`)
      throw error
    }
  }
}
