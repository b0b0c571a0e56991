/** What the tests of the platform stand on: rows in a real PostgreSQL, the platform on a port, agents on loopback. */
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { createServer, type RequestListener } from 'node:http'
import { connect } from 'node:net'
import { Client } from 'pg'
import { pino } from 'pino'
import { milliseconds, seconds } from '../../src/duration.ts'
import { createPlatform, type PlatformOptions } from '../../src/platform/server.ts'
import { openStore } from '../../src/store/postgres/open.ts'
import {
  type Phase,
  type RowKey,
  type WorkspaceId,
  workspaceId,
  type WorkspaceIntent,
} from '../../src/store/workspace-store.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'

export const hashOf = (token: string): Buffer => createHash('sha256').update(token).digest()
export const adminToken = `admin-${randomBytes(24).toString('base64url')}`

export interface Member {
  readonly id: WorkspaceId
  readonly token: string
}

type GivenWorkspace = Partial<WorkspaceIntent> & { readonly url?: string; readonly secret?: string }

/** The store over a migrated database, a leader's fence, and rows on demand. */
export async function openRegistry(databaseUrl: string, secretsKey?: Buffer) {
  const metrics = createMetrics()
  const lines: string[] = []
  // No redaction here, unlike the operator's own log: what reaches it is seen by the tests.
  const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) })
  const lookTimes = { calm: seconds(1), troubled: milliseconds(250), hold: seconds(2) }
  const options = { databaseUrl, lease: 'test', metrics, log, lookTimes }
  const open = (key = secretsKey) => openStore({ ...options, secretsKey: key })
  const store = open()
  const fence = { epoch: await store.leaders.begin('test', 'test'), check: () => {} }
  const client = new Client({ connectionString: databaseUrl })
  // A database that is broken on purpose takes this connection with it.
  client.on('error', () => {})
  await client.connect()

  /** A workspace with a launched incarnation and its token, in `provisioning`. */
  async function workspace(given: GivenWorkspace = {}): Promise<Member> {
    const id = workspaceId(randomUUID())
    const { url, secret, ...intent } = given
    const specHash = 'hash'
    const recorded = await store.workspaces.record(
      { ...blank, id, ownerUid: id, ...named(id), specHash, ...intent },
      fence,
    )
    if (recorded.kind !== 'recorded') throw new Error(`not recorded: ${recorded.kind}`)
    const token = randomBytes(32).toString('base64url')
    const tokenPrefix = token.slice(0, 8)
    const launch = {
      ...keyOf(id, intent.namespace),
      specHash,
      tokenHash: hashOf(token),
      tokenPrefix,
      inboundSecret: secret,
      at: new Date(),
    }
    await store.workspaces.launch(launch, fence)
    if (given.backend === 'external') await store.agents.mintToken(id, hashOf(token), tokenPrefix)
    await store.workspaces.observed(
      { ...keyOf(id, intent.namespace), instanceId: 'instance', url: url ?? '', imageDigest: undefined },
      fence,
    )
    return { id, token }
  }

  return {
    store,
    /** The same rows as another process sees them. */
    another: open,
    fence,
    metrics,
    lines,
    log,
    workspace,
    /** An agent that is there: its row is online at `url`. */
    async online(url: string, given: GivenWorkspace = {}): Promise<Member> {
      const member = await workspace({ ...given, url })
      await store.agents.register({ id: member.id, url, agentCard: {}, deliveryMode: undefined })
      return member
    },
    async setStatus(id: WorkspaceId, status: Phase): Promise<void> {
      await client.query('UPDATE workspaces SET status = $2 WHERE id = $1', [id, status])
    },
    async sql(text: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
      return (await client.query<Record<string, unknown>>(text, [...values])).rows
    },
    async row(id: WorkspaceId): Promise<Record<string, unknown>> {
      return (await client.query<Record<string, unknown>>('SELECT * FROM workspaces WHERE id = $1', [id])).rows[0] ?? {}
    },
    async serve(more: Partial<PlatformOptions> = {}) {
      const abort = new AbortController()
      const platform = createPlatform({
        agents: store.agents,
        adminToken,
        openNetworks: [],
        platformUrl: 'https://molecule.test/',
        log,
        metrics,
        ...more,
        serverLimits: { ...inHaste, ...more.serverLimits },
      })
      const { port } = await platform.listen(abort.signal, { host: '127.0.0.1', port: 0 })
      const stop = async () => {
        abort.abort()
        await platform.closed
      }
      return { port, base: `http://127.0.0.1:${port}`, stop }
    },
    async close(): Promise<void> {
      await store.close()
      await client.end()
    },
  }
}

/** Tests ask for more in a second than a namespace does, and see refusals by the hundred. */
const inHaste = {
  messageRate: { perSecond: 1e6, burst: 1e6 },
  lateRefusals: { large: { after: milliseconds(5), most: 64 }, small: { after: milliseconds(5), most: 512 } },
}

/** By which the controller knows the row of a member. */
export const keyOf = (id: WorkspaceId, namespace: string = blank.namespace): RowKey => ({ id, ownerUid: id, namespace })

const named = (id: string) => ({ resourceName: `ws-${id}`, displayName: `Agent ${id}` })

const blank = {
  namespace: 'default',
  generation: 1,
  role: undefined,
  parentOwnerUid: undefined,
  tier: 2,
  runtime: 'claude-code',
  model: 'opus',
  backend: 'process',
  template: '',
  workspaceDir: undefined,
  workspaceAccess: 'none',
  deliveryMode: 'push',
  maxConcurrentTasks: 1,
  updateTier: 'production',
  canvas: undefined,
  initialPhase: 'provisioning',
  claim: 'create',
  keepsParent: false,
} as const

/** Calls the platform as an agent or an admin would; on a connection of its own, which nobody closes while it is asked. */
export async function call(base: string, method: 'GET' | 'POST', path: string, token?: string, body?: unknown) {
  const response = await fetch(base + path, {
    method,
    headers: {
      connection: 'close',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const json: unknown = response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : undefined
  return { status: response.status, headers: response.headers, text, body: json }
}

/** Sends bytes as they are and gives all that comes back until the other side closes, in order or by a reset. */
export function raw(bytes: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    let got = ''
    const socket = connect(port, '127.0.0.1', () => void socket.write(bytes))
    socket.setEncoding('utf8').on('data', (chunk: string) => (got += chunk))
    socket.on('close', () => resolve(got)).on('error', () => {})
  })
}

/** The error body with this code, whatever its message. */
export const refusal = (code: string, message: unknown = ExpectAnyText) => ({ error: { code, message } })
const ExpectAnyText: unknown = { asymmetricMatch: (given: unknown) => typeof given === 'string' && given !== '' }

/** An HTTP server on loopback that plays an agent, or whatever sits where an agent should be. */
export async function startAgent(listener: RequestListener) {
  const server = createServer(listener)
  // Who keeps a connection closes it, too: else a message may be sent on one that is being closed, and counts as a try.
  server.keepAliveTimeout = 0
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    port,
    url: `http://127.0.0.1:${port}/`,
    stop: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
