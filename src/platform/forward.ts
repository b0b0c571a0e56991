/** Sends one message to an agent and hands back its answer, within time and size. */
import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import request from 'undici/lib/api/api-request.js'
import Agent from 'undici/lib/dispatcher/agent.js'
import { minutes, seconds } from '../duration.ts'
import { Refusal } from './refusal.ts'
import { type AddressRule, guardedConnector, type Resolve, UrlRefused } from '../outbound.ts'

/** How long and how much an agent may take. Source: spec/platform-api §4. */
export const limits = {
  connect: seconds(10),
  /** From the request to the head of the answer. */
  head: seconds(60),
  /** Between two pieces of a streamed answer. */
  idle: seconds(300),
  whole: minutes(30),
  answerBytes: 10 * 1024 * 1024,
  /** What goes on at once, so that slow agents cannot take all memory. */
  atOnce: 512,
}

export interface Answer {
  readonly status: number
  readonly contentType: string
  readonly body: Readable
}

export interface Forward {
  /** Throws a Refusal when no answer came. `external` URLs are held to the address rules. Redirects are not followed. */
  send(to: Destination, body: string, signal: AbortSignal): Promise<Answer>
  close(): Promise<void>
}

export interface Destination {
  readonly url: string
  readonly external: boolean
  /** `X-Workspace-ID` of the caller; undefined for an admin. */
  readonly from: string | undefined
}

const tooLarge = new Refusal(502, 'agent_answer_too_large', 'the answer of the agent is larger than 10 MiB')

/** Upstream codes that mean that nothing is there, a gateway's own among them. */
const dead = new Set([502, 503, 504, 521, 522, 523, 524])
const retryAfter = seconds(15)

export function createForward(rule: AddressRule, resolve: Resolve, given: Partial<typeof limits> = {}): Forward {
  const { connect, head, idle, whole, answerBytes, atOnce } = { ...limits, ...given }
  const shared = { connections: 8, headersTimeout: head, bodyTimeout: idle, maxResponseSize: answerBytes }
  const known = new Agent({ ...shared, connect: { timeout: connect } })
  const guarded = new Agent({ ...shared, connect: guardedConnector(rule, resolve, connect) })
  let underWay = 0

  async function send(to: Destination, body: string, signal: AbortSignal): Promise<Answer> {
    if (underWay >= atOnce) throw new Refusal(503, 'busy', 'too many messages are under way', { retryAfter })
    const ceiling = new AbortController()
    const timer = setTimeout(() => ceiling.abort(), whole)
    underWay += 1
    const end = () => {
      clearTimeout(timer)
      underWay -= 1
    }
    try {
      const both = AbortSignal.any([signal, ceiling.signal])
      const answer = await post(to.external ? guarded : known, to, body, both, answerBytes)
      answer.body.once('close', end)
      return answer
    } catch (error) {
      end()
      throw refusalOf(error)
    }
  }

  return { send, close: async () => void (await Promise.all([known.destroy(), guarded.destroy()])) }
}

async function post(
  agent: Dispatcher,
  to: Destination,
  body: string,
  signal: AbortSignal,
  largest: number,
): Promise<Answer> {
  const url = new URL(to.url)
  const response = await request.call(agent, {
    origin: url.origin,
    path: url.pathname + url.search,
    method: 'POST',
    // The caller's own credentials stay here.
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'accept-encoding': 'identity',
      ...(to.from === undefined ? {} : { 'x-workspace-id': to.from }),
    },
    body,
    signal,
  })
  const refusal =
    Number(response.headers['content-length'] ?? 0) > largest ? tooLarge : refusalOfStatus(response.statusCode)
  if (refusal) {
    response.body.on('error', () => undefined).destroy()
    throw refusal
  }
  return { status: response.statusCode, contentType: contentType(response), body: response.body }
}

/** Answers that must not reach the caller as they are: a redirect, and a 401 that he would take for his own. */
function refusalOfStatus(status: number): Refusal | undefined {
  if (dead.has(status)) return new Refusal(503, 'agent_unavailable', `the agent answered ${status}`, { retryAfter })
  if (status >= 300 && status < 400) return new Refusal(502, 'agent_redirected', 'the agent answered with a redirect')
  if (status === 401 || status === 403) return new Refusal(502, 'agent_refused', `the agent answered ${status}`)
  return undefined
}

/** Nothing that a browser would run: an agent's answer comes from the operator's own origin. */
function contentType(response: Dispatcher.ResponseData): string {
  const [type] = String(response.headers['content-type'] ?? '').split(';')
  const plain = type?.trim().toLowerCase()
  return plain === 'text/event-stream' || plain === 'application/json' ? plain : 'application/octet-stream'
}

/** undici and the system say what happened by code; one not named here is a connection that broke or never was. */
function refusalOf(error: unknown): unknown {
  if (error instanceof UrlRefused)
    return new Refusal(502, 'agent_url_refused', 'the address of the agent is one that no external agent may have')
  const { code, name } = error as NodeJS.ErrnoException
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || name === 'AbortError')
    return new Refusal(504, 'agent_timeout', 'the agent did not answer in time')
  if (typeof code !== 'string' || error instanceof Refusal) return error
  return new Refusal(503, 'agent_unreachable', 'the agent cannot be reached', { retryAfter })
}
