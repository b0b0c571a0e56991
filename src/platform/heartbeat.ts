/** POST /registry/heartbeat: the busiest route, one call per agent every 30 s. Ranges: spec/platform-api §9.1. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { AgentStore, Heartbeat } from '../store/agent-store.ts'
import { requireSelf } from './auth.ts'
import { clamped, id, line, parse } from './body.ts'
import { fromStore } from './errors.ts'
import { workspaceGone } from './register.ts'

const maxInt = 2 ** 31 - 1

const capabilities = z.object({ status_mgmt: z.boolean().nullish(), scheduler: z.boolean().nullish() })

const beat = z.object({
  workspace_id: id,
  error_rate: clamped(0, 1),
  sample_error: line(1024),
  active_tasks: clamped(0, maxInt),
  uptime_seconds: clamped(0, maxInt),
  current_task: line(1024),
  monthly_spend: clamped(0, 1e12),
  // Whatever else an agent says here means healthy.
  runtime_state: z.string().nullish(),
  runtime_metadata: z.object({ capabilities: capabilities.nullish() }).nullish(),
})

function heartbeatOf(said: z.output<typeof beat>, tokenHash: Buffer): Heartbeat {
  const does = said.runtime_metadata?.capabilities
  return {
    id: said.workspace_id,
    errorRate: said.error_rate,
    sampleError: said.sample_error,
    activeTasks: Math.trunc(said.active_tasks),
    uptimeSeconds: Math.trunc(said.uptime_seconds),
    currentTask: said.current_task,
    monthlySpend: Math.trunc(said.monthly_spend),
    state: said.runtime_state === 'wedged' ? 'wedged' : 'healthy',
    tokenHash,
    ownsStatus: does?.status_mgmt === true,
    ownsSchedules: does?.scheduler === true,
  }
}

export interface HeartbeatOptions {
  readonly agents: Pick<AgentStore, 'heartbeat'>
  /** Throws unless the token of the request is a live one now. */
  readonly recheck: (request: FastifyRequest) => Promise<void>
}

export function heartbeatRoute(app: FastifyInstance, { agents, recheck }: HeartbeatOptions): void {
  const handler = async (request: FastifyRequest) => {
    const body = parse(beat, request.body)
    // What it says beyond the known fields is not kept until the answer.
    request.body = undefined
    const tokenHash = requireSelf(request, body.workspace_id)
    const stored = await fromStore(agents.heartbeat(heartbeatOf(body, tokenHash)))
    if (stored) return { status: 'ok' }
    await recheck(request)
    throw workspaceGone
  }
  app.post('/registry/heartbeat', { handler })
}
