/** Sends one message to an agent and hands back its answer, within time and size. */
import { pipeline, type Readable, Transform } from 'node:stream'
import type { Dispatcher } from 'undici'
import request from 'undici/lib/api/api-request.js'
import Agent from 'undici/lib/dispatcher/agent.js'
import { type Duration, minutes, seconds } from '../duration.ts'
import {
  type AddressRule,
  guardedConnector,
  LookUpsBusy,
  loopbackConnector,
  type Resolve,
  NameUnresolved,
  UrlRefused,
} from '../outbound.ts'
import { type Bound, type Claim, Places } from '../places.ts'
import type { AgentAddress } from '../store/agent-store.ts'
import type { WorkspaceId } from '../store/workspace-store.ts'
import { lookUpsBusy } from './errors.ts'
import { Refusal } from './refusal.ts'

/** How long and how much an agent may take. Source: spec/platform-api §4. */
export const limits = {
  connect: seconds(10),
  /** From the request to the end of the answer's head, however slowly that comes. */
  head: seconds(60),
  /** Between two lines of an event stream: a comment line keeps one open in which nothing happens. */
  idle: seconds(300),
  /** In which any other answer brings `paceBytes` more, or ends: it is written at one go, not as things happen. */
  pace: seconds(30),
  paceBytes: 16 * 1024,
  whole: minutes(30),
  answerBytes: 10 * 1024 * 1024,
  /** What goes on at once, so that slow agents cannot take all memory; `reserved` of it for admins. */
  places: { total: 512, reserved: 32, pair: 8, destination: 16, caller: 32 },
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
  readonly id: WorkspaceId
  /** Of the agent, and of the agent that calls: messages never leave a namespace. */
  readonly namespace: string
  readonly url: string
  readonly external: boolean
  /** `X-Workspace-ID` of the caller; undefined for an admin. */
  readonly from: string | undefined
  /** The bearer by which an agent that the operator launched knows its calls; undefined: it asks for none. */
  readonly secret: string | undefined
}

/** Throws a Refusal where the agent asks for a secret that this operator cannot read. An external agent is given none. */
export function destinationOf(address: AgentAddress, from: WorkspaceId | undefined): Destination {
  const { id, namespace, url, backend, inbound } = address
  const external = backend === 'external'
  const secret = external ? undefined : inbound?.secret
  if (!external && inbound !== undefined && secret === undefined)
    throw new Refusal(503, 'agent_secret_unreadable', unreadable, { retryAfter: minutes(1), cause })
  return { id, namespace, url, external, from, secret }
}

const unreadable = 'the secret of the agent was sealed with another key: restart the workspace'
const cause = new Error('workspaces.inbound_secret does not open with this SECRETS_KEY; the next launch replaces it')

const tooLarge = new Refusal(502, 'agent_answer_too_large', 'the answer of the agent is larger than 10 MiB')

/** Upstream codes that mean that nothing is there, a gateway's own among them. */
const dead = new Set([502, 503, 504, 521, 522, 523, 524])
const retryAfter = seconds(15)
const relaunched = 'the agent does not know the secret of this launch: it is being launched anew'

const busyWith: Readonly<Record<Bound, string>> = {
  pair: 'of this caller to this agent',
  destination: 'to this agent',
  caller: 'of this caller',
  namespace: 'of this namespace',
  total: 'of all callers',
}

export interface ForwardOptions {
  /** For the addresses of external agents. */
  readonly rule: AddressRule
  readonly resolve: Resolve
  readonly limits?: Partial<typeof limits>
  /** A message found no place, and why. */
  readonly onBusy?: (bound: Bound) => void
}

export function createForward({ rule, resolve, limits: given, onBusy }: ForwardOptions): Forward {
  const { connect, head, answerBytes, whole, places: placeLimits, ...pace } = { ...limits, ...given }
  // Connections are bounded by places: a bound by origin would let one agent queue before others at the same address.
  const shared = { connections: null, headersTimeout: 0, bodyTimeout: 0, maxResponseSize: answerBytes }
  const known = new Agent({ ...shared, connect: loopbackConnector(connect) })
  /** By namespace: each looks names up for itself, and shares no connection with another. */
  const guarded = new Map<string, Dispatcher>()
  const places = new Places(placeLimits)

  function agentFor({ external, namespace }: Destination): Dispatcher {
    if (!external) return known
    const present = guarded.get(namespace)
    if (present) return present
    const agent = new Agent({ ...shared, connect: guardedConnector(rule, resolve, { namespace }, connect) })
    guarded.set(namespace, agent)
    return agent
  }

  async function send(to: Destination, body: string, signal: AbortSignal): Promise<Answer> {
    const place = places.take(claimOf(to))
    if (typeof place === 'string') {
      onBusy?.(place)
      throw new Refusal(503, 'busy', `too many messages ${busyWith[place]} are under way`, { retryAfter })
    }
    const ceiling = new AbortController()
    const late = () => ceiling.abort()
    let timer = setTimeout(late, head)
    const end = () => {
      clearTimeout(timer)
      place()
    }
    try {
      const both = AbortSignal.any([signal, ceiling.signal])
      const answer = await post(agentFor(to), to, body, both, answerBytes)
      clearTimeout(timer)
      timer = setTimeout(late, whole)
      return { ...answer, body: paced(answer, pace).once('close', end) }
    } catch (error) {
      end()
      throw refusalOf(error)
    }
  }

  return {
    send,
    close: async () => void (await Promise.all([known, ...guarded.values()].map((agent) => agent.destroy()))),
  }
}

/** An admin is held back by what waits for the same agent alone. */
function claimOf({ id, namespace, from }: Destination): Claim {
  return from === undefined
    ? { pair: `admin ${id}` }
    : { pair: `${from} ${id}`, destination: id, caller: from, namespace }
}

/**
 * The body, ended when it does not get on. An agent that sends a byte now and then would else hold its place for as long
 * as an answer may take; and so would a caller that does not read.
 */
function paced(
  { body, contentType: type }: Answer,
  { idle, pace, paceBytes }: Pick<typeof limits, 'idle' | 'pace' | 'paceBytes'>,
): Readable {
  const events = type === 'text/event-stream'
  const span: Duration = events ? idle : pace
  let bytes = 0
  const timer = setTimeout(() => passing.destroy(new Error('the answer did not get on in time')), span)
  const passing: Transform = new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      bytes += chunk.length
      if (events ? chunk.includes(newline) : bytes >= paceBytes) {
        timer.refresh()
        bytes = 0
      }
      callback(null, chunk)
    },
  })
  return pipeline(body, passing, () => clearTimeout(timer))
}

const newline = 0x0a

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
      ...(to.secret === undefined ? {} : { authorization: `Bearer ${to.secret}` }),
    },
    body,
    signal,
  })
  const refusal =
    Number(response.headers['content-length'] ?? 0) > largest
      ? tooLarge
      : refusalOfStatus(response.statusCode, to.secret !== undefined)
  if (refusal) {
    response.body.on('error', () => undefined).destroy()
    throw refusal
  }
  return { status: response.statusCode, contentType: contentType(response), body: response.body }
}

/** Answers that must not reach the caller as they are: a redirect, and a 401 that he would take for his own. */
function refusalOfStatus(status: number, withSecret: boolean): Refusal | undefined {
  // It was replaced between the look at the row and the call: the secret is that of the launch before.
  if (status === 401 && withSecret) return new Refusal(503, 'workspace_provisioning', relaunched, { retryAfter })
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
  if (error instanceof NameUnresolved)
    return new Refusal(503, 'agent_unreachable', 'the name of the agent does not resolve', { retryAfter })
  if (error instanceof UrlRefused)
    return new Refusal(502, 'agent_url_refused', 'the address of the agent is one that it may not have')
  if (error instanceof LookUpsBusy) return lookUpsBusy(error)
  const { code, name } = error as NodeJS.ErrnoException
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || name === 'AbortError')
    return new Refusal(504, 'agent_timeout', 'the agent did not answer in time')
  if (typeof code !== 'string' || error instanceof Refusal) return error
  return new Refusal(503, 'agent_unreachable', 'the agent cannot be reached', { retryAfter })
}
