/** A prompt of the operator's own to an agent: the same way as a message of others takes (a2a.ts), by nobody's request. */
import { json } from 'node:stream/consumers'
import { z } from 'zod'
import { redactor } from '../redaction.ts'
import type { AgentStore } from '../store/agent-store.ts'
import type { WorkspaceId } from '../store/workspace-store.ts'
import { cut, oneLine } from '../text.ts'
import { destinationOf, type Answer, type Forward } from './forward.ts'
import { Refusal } from './refusal.ts'

export interface Prompt {
  /** UUID: the message's id, and the request's. What carries it twice is one prompt. */
  readonly id: string
  readonly to: WorkspaceId
  readonly text: string
  /** What it is about, for the agent. */
  readonly metadata: Readonly<Record<string, string>>
}

export type PromptOutcome =
  /** The agent took it; of an agent that polls: it is there to be fetched. */
  | { readonly kind: 'delivered' }
  /** The agent answered with an error, or not in time: it may have it, and another try is no help. */
  | { readonly kind: 'failed'; readonly detail: string }
  /** It did not come that far, as far as we can see: the same prompt may be sent again. */
  | { readonly kind: 'notReached'; readonly detail: string }

export interface PromptOptions {
  readonly agents: Pick<AgentStore, 'beginMessage' | 'logMessage'>
  readonly forward: Forward
}

const rpcError = z.looseObject({ error: z.looseObject({ message: z.string().default('') }) })

/** Refusals that say nothing against another try. */
const notReached: ReadonlySet<string> = new Set([
  'agent_unreachable',
  'agent_unavailable',
  'agent_secret_unreadable',
  'workspace_provisioning',
  'busy',
  'lookups_busy',
])

/** An error of the store is thrown; whatever happens on the way to the agent is an outcome. */
export function createPrompts({ agents, forward }: PromptOptions) {
  return async ({ id, to, text, metadata }: Prompt, signal: AbortSignal): Promise<PromptOutcome> => {
    // Counts as traffic: the agent is not put to sleep under the message; one that sleeps is asked to wake.
    const at = await agents.beginMessage(to)
    if (at === undefined) return { kind: 'failed', detail: 'the workspace is removed' }
    const request = requestOf(id, text, metadata)
    if (at.deliveryMode === 'poll') {
      const body = JSON.stringify(request)
      const full = await agents.logMessage({ id, from: undefined, to, method: request.method, outcome: 'queued', body })
      return full === undefined ? { kind: 'delivered' } : { kind: 'notReached', detail: 'the inbox is full' }
    }
    if (at.status !== 'online' && at.status !== 'degraded')
      return { kind: 'notReached', detail: `the workspace is ${at.status.replace('_', ' ')}` }
    try {
      return await outcomeOf(await forward.send(destinationOf(at, undefined), JSON.stringify(request), signal))
    } catch (error) {
      if (signal.aborted) return failed('the agent did not answer in time')
      if (!(error instanceof Refusal)) throw error
      return { kind: notReached.has(error.code) ? 'notReached' : 'failed', detail: error.message }
    }
  }
}

/** `blocking: false`: that the agent took it is all we wait for, not that it is done. */
const requestOf = (id: string, text: string, metadata: Prompt['metadata']) => ({
  jsonrpc: '2.0',
  id,
  method: 'message/send',
  params: {
    message: { kind: 'message', role: 'user', messageId: id, parts: [{ kind: 'text', text }], metadata },
    configuration: { blocking: false },
  },
})

/** An agent that answers at length has taken the prompt: what it says is of no interest here, but for an error. */
async function outcomeOf({ status, contentType, body }: Answer): Promise<PromptOutcome> {
  if (contentType !== 'application/json' || status < 200 || status > 299) {
    body.on('error', () => undefined).destroy()
    return status >= 200 && status <= 299 ? { kind: 'delivered' } : failed(`the agent answered ${status}`)
  }
  const answered = rpcError.safeParse(await json(body).catch(() => undefined))
  return answered.success
    ? failed(`the agent answered with an error: ${answered.data.error.message}`)
    : { kind: 'delivered' }
}

const redact = redactor([])

/** What an agent says goes into rows. */
const failed = (detail: string): PromptOutcome => ({ kind: 'failed', detail: cut(oneLine(redact(detail)), 500) })
