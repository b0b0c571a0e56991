/**
 * The agent of the demo: the smallest program that is a whole citizen. It serves A2A (JSON-RPC) on PORT, registers
 * with its token, sends heartbeats, and answers the operator alone. Node 24 or later, no dependencies.
 */
import { timingSafeEqual } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'

const { env } = process
const id = env.WORKSPACE_ID ?? ''
const platform = (env.PLATFORM_URL ?? '').replace(/\/$/, '')
const port = Number(env.PORT ?? 8000)
const url = env.MOLECULE_WORKSPACE_URL ?? `http://${hostname()}:${port}`
const configs = env.WORKSPACE_CONFIG_PATH ?? '/configs'
const name = env.WORKSPACE_NAME ?? id
const role = env.MOLECULE_AGENT_ROLE ?? ''
const beatEvery = Number(env.HEARTBEAT_SECONDS ?? 30) * 1000
const startedAt = Date.now()
const longestBody = 1 << 20

const say = (msg, fields = {}) => console.log(JSON.stringify({ time: new Date().toISOString(), msg, ...fields }))
const readToken = () => readFileSync(`${configs}/.auth_token`, 'utf8').trim()

const card = {
  protocolVersion: '0.3.0',
  name,
  description: role,
  url,
  version: '1.0.0',
  preferredTransport: 'JSONRPC',
  capabilities: { streaming: false },
  defaultInputModes: ['text/plain'],
  defaultOutputModes: ['text/plain'],
  skills: [{ id: 'echo', name: 'Echo', description: 'Answers with what it was told', tags: ['demo'] }],
}

/** What the operator's calls carry. An operator of before gives none; then every call is answered. */
const secretFile = `${configs}/.platform_inbound_secret`
const secret = existsSync(secretFile) ? readFileSync(secretFile, 'utf8').trim() : undefined

/** Other agents may reach this port, too: an `X-Workspace-ID` proves nothing without the secret. */
function isPlatform({ headers }) {
  if (secret === undefined) return true
  const [given, wanted] = [Buffer.from(headers.authorization ?? ''), Buffer.from(`Bearer ${secret}`)]
  return secret !== '' && given.length === wanted.length && timingSafeEqual(given, wanted)
}

let activeTasks = 0
let currentTask = ''

function answer({ id: callId = null, method, params }) {
  const reply = (fields) => ({ jsonrpc: '2.0', id: callId, ...fields })
  if (method !== 'message/send') return reply({ error: { code: -32_601, message: `unknown method ${method}` } })
  const parts = params?.message?.parts
  if (!Array.isArray(parts)) return reply({ error: { code: -32_602, message: 'params.message.parts is missing' } })
  const text = parts.map((part) => (typeof part?.text === 'string' ? part.text : '')).join('')
  currentTask = text.slice(0, 200)
  const said = `${name}${role === '' ? '' : ` (${role})`}: ${text}`
  const message = {
    kind: 'message',
    role: 'agent',
    messageId: crypto.randomUUID(),
    parts: [{ kind: 'text', text: said }],
  }
  return reply({ result: message })
}

async function bodyOf(request) {
  const chunks = []
  let length = 0
  for await (const chunk of request) {
    length += chunk.length
    if (length > longestBody) throw new Error('the message is longer than 1 MiB')
    chunks.push(chunk)
  }
  return JSON.parse(Buffer.concat(chunks).toString())
}

async function route(request) {
  if (request.method === 'GET' && request.url === '/healthz') return [200, { status: 'ok' }]
  if (!isPlatform(request)) return [401, { error: 'unauthorized' }]
  if (request.method === 'GET' && request.url === '/.well-known/agent-card.json') return [200, card]
  if (request.method !== 'POST' || request.url !== '/') return [404, { error: 'not found' }]
  activeTasks++
  try {
    return [200, answer(await bodyOf(request))]
  } catch (error) {
    return [200, { jsonrpc: '2.0', id: null, error: { code: -32_700, message: error.message } }]
  } finally {
    activeTasks--
    currentTask = ''
  }
}

const server = createServer(async (request, response) => {
  const [status, body] = await route(request)
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
})

let token = ''

/** One call to the platform. A 401 may mean that the token was replaced: it is read again, once. */
async function tell(path, body, again = true) {
  if (token === '') token = readToken()
  const response = await fetch(`${platform}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  })
  await response.body?.cancel()
  if (response.status === 401 && again) {
    token = ''
    return tell(path, body, false)
  }
  if (!response.ok) throw new Error(`${path} answered ${response.status}`)
}

async function register() {
  for (let wait = 250; ; wait = Math.min(wait * 2, 10_000)) {
    try {
      await tell('/registry/register', { id, url, agent_card: card })
      return say('registered', { url })
    } catch (error) {
      say('cannot register yet', { error: error.cause?.message ?? error.message, again_in_ms: wait })
      await sleep(wait * (0.5 + Math.random() / 2))
    }
  }
}

async function beat() {
  const uptime = Math.floor((Date.now() - startedAt) / 1000)
  const state = { active_tasks: activeTasks, uptime_seconds: uptime, error_rate: 0, current_task: currentTask }
  try {
    await tell('/registry/heartbeat', { workspace_id: id, ...state })
  } catch (error) {
    say('heartbeat failed', { error: error.cause?.message ?? error.message })
  }
}

process.on('SIGTERM', () => process.exit(0))
process.on('SIGINT', () => process.exit(0))
server.on('error', (error) => {
  say('cannot serve', { error: error.message })
  process.exit(1)
})
server.listen(port, env.HOST ?? '0.0.0.0', async () => {
  say('serving', { port })
  await register()
  setInterval(beat, beatEvery)
})
