import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { text as textOf } from 'node:stream/consumers'
import type { KubeObject } from '../../src/api/meta.ts'
import type { ResourceType } from '../../src/kube/client.ts'
import { Transport } from '../../src/kube/transport.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { FaultLease } from './fault-lease.ts'

export interface Thing extends KubeObject<{ readonly n: number }> {
  readonly spec: { readonly n: number }
}

export const things: ResourceType<Thing> = {
  group: 'faults.test',
  version: 'v1',
  kind: 'Thing',
  plural: 'things',
  namespaced: true,
  parse(raw) {
    const thing = raw as Thing
    if (typeof thing.spec.n !== 'number') throw new Error('spec.n is not a number')
    return thing
  },
}

export interface Seen {
  readonly method: string
  readonly url: URL
  readonly at: number
  readonly accept: string
  readonly authorization: string | undefined
}

/** Says whether it has dealt with the request; if not, the server answers as it should. */
export type Fault = (request: Seen, response: ServerResponse) => boolean

/** As much of an API server as a list and a watch need, with a place to break it: `fault` sees each request first. */
export class FaultServer {
  readonly seen: Seen[] = []
  readonly lease = new FaultLease(() => String(++this.#version))
  fault: Fault = () => false
  pageSize = Number.POSITIVE_INFINITY
  /** Characters that each object has beside its fields, made when it is sent. */
  padding = 0
  /** Bytes of answers, as far as they were written. */
  sent = 0
  readonly #objects = new Map<string, Thing>()
  readonly #watches = new Set<ServerResponse>()
  readonly #log: { readonly version: number; readonly line: string }[] = []
  readonly #sockets = new Set<Socket>()
  readonly #server: Server
  #version = 1000

  constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response))
    // Of itself it closes nothing: a request that is just being sent on an idle connection would be lost with it.
    this.#server.keepAliveTimeout = 0
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return this
  }

  /** The newest there is. */
  get version(): string {
    return String(this.#version)
  }

  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`
  }

  /** Without those of one object's metadata, which only ask for the version. */
  get lists(): readonly Seen[] {
    return this.seen.filter(({ method, url, accept }) => {
      const asksForVersion = url.searchParams.get('limit') === '1' && accept.includes('as=PartialObject')
      return method === 'GET' && !url.searchParams.has('watch') && !asksForVersion
    })
  }

  get watches(): readonly Seen[] {
    return this.seen.filter(({ url }) => url.searchParams.has('watch'))
  }

  get openWatches(): number {
    return this.#watches.size
  }

  transport(options: Partial<ConstructorParameters<typeof Transport>[0]> = {}): Transport {
    const credentials = { server: this.url, namespace: 'default', load: () => Promise.resolve({}) }
    return new Transport({ credentials, metrics: createMetrics(), log: createLogger('silent'), ...options })
  }

  put(name: string, n: unknown = 1, uid = `uid-${name}`): void {
    const type = this.#objects.has(name) ? 'MODIFIED' : 'ADDED'
    const object = thing(name, uid, String(++this.#version), n)
    this.#objects.set(name, object)
    this.#tell(type, object)
  }

  delete(name: string): void {
    const object = this.#objects.get(name)
    if (!object) return
    this.#objects.delete(name)
    this.#tell('DELETED', thing(name, object.metadata.uid, String(++this.#version), object.spec.n))
  }

  /** Changes without telling any watch: what happens while nobody can look. */
  quietly(change: () => void): void {
    const open = [...this.#watches]
    this.#watches.clear()
    change()
    for (const response of open) this.#watches.add(response)
    this.#log.length = 0
  }

  /** As if that many changes of other kinds had come and gone: only the version of the store tells. */
  pass(changes: number): void {
    this.#version += changes
  }

  /** What the store holds, to be put back later: the watches then end, and nobody is told what was lost. */
  backup(): () => void {
    const [objects, version, lease] = [[...this.#objects], this.#version, this.lease.record]
    return () => {
      this.lease.record = lease
      this.#objects.clear()
      for (const [name, object] of objects) this.#objects.set(name, object)
      this.#version = version
      this.#log.length = 0
      this.endWatches('destroy')
    }
  }

  /** Writes to every open watch as it is. */
  write(text: string | Buffer): void {
    for (const response of this.#watches) response.write(text)
  }

  endWatches(how: 'end' | 'destroy'): void {
    for (const response of this.#watches) {
      if (how === 'end') response.end()
      else response.socket?.destroy()
    }
    this.#watches.clear()
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #tell(type: string, object: Thing): void {
    const line = `${JSON.stringify({ type, object })}\n`
    this.#log.push({ version: this.#version, line })
    this.write(line)
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', this.url)
    const seen = {
      method: request.method ?? '',
      url,
      at: performance.now(),
      accept: request.headers.accept ?? '',
      authorization: request.headers.authorization,
    }
    this.seen.push(seen)
    if (url.pathname.includes('/leases')) return void this.#answerLease(request, response)
    request.resume()
    if (this.fault(seen, response)) return
    if (url.searchParams.has('watch')) this.#watch(url, response)
    else if (seen.method === 'GET' && url.pathname.endsWith('/things')) void this.#list(seen, response)
    else if (seen.method === 'GET') this.#get(url.pathname.split('/').at(-1) ?? '', response)
    else response.end(JSON.stringify(thing('written', 'uid-written', String(++this.#version), 1)))
  }

  async #answerLease(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const answer = this.lease.answer(request.method ?? '', await textOf(request))
    if (answer === undefined) request.socket.destroy()
    else response.writeHead(answer.code, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body))
  }

  #watch(url: URL, response: ServerResponse): void {
    const from = Number(url.searchParams.get('resourceVersion'))
    response.writeHead(200).flushHeaders()
    for (const { version, line } of this.#log) if (version > from) response.write(line)
    this.#watches.add(response)
    response.once('close', () => this.#watches.delete(response))
  }

  #get(name: string, response: ServerResponse): void {
    const object = this.#objects.get(name)
    if (object === undefined) status(response, 404, 'NotFound')
    else response.end(JSON.stringify(this.#padded(object)))
  }

  /** Item by item, as an API server streams them: all of them may be more than a string can hold. */
  async #list({ url, accept }: Seen, response: ServerResponse): Promise<void> {
    const from = Number(url.searchParams.get('continue') ?? 0)
    const all = [...this.#objects.values()]
    const items = all.slice(from, from + Math.min(this.pageSize, Number(url.searchParams.get('limit') ?? 500)))
    const left = all.length - from - items.length
    const more = left > 0 ? { continue: String(from + items.length), remainingItemCount: left } : {}
    const metadata = JSON.stringify({ resourceVersion: String(this.#version), ...more })
    response.setMaxListeners(0)
    const isPartial = accept.includes('as=PartialObjectMetadata')
    if (isPartial && items.length === 0) return void response.end(`{"metadata":${metadata},"items":null}`)
    response.write(`{"metadata":${metadata},"items":[`)
    for (const [i, item] of items.entries()) {
      if (response.destroyed) return
      const { spec: _spec, ...partial } = item
      const text = `${i === 0 ? '' : ','}${JSON.stringify(isPartial ? partial : this.#padded(item))}`
      this.sent += text.length
      if (!response.write(text)) await Promise.race([once(response, 'drain'), once(response, 'close')])
    }
    response.end(']}')
  }

  #padded(object: Thing): object {
    return this.padding === 0 ? object : { ...object, spec: { ...object.spec, pad: 'x'.repeat(this.padding) } }
  }
}

export function status(
  response: ServerResponse,
  code: number,
  reason: string,
  headers: Record<string, string> = {},
): true {
  response.writeHead(code, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify({ kind: 'Status', status: 'Failure', code, reason, message: `${reason} on purpose` }))
  return true
}

export function thing(name: string, uid: string, resourceVersion: string, n: unknown): Thing {
  return {
    apiVersion: 'faults.test/v1',
    kind: 'Thing',
    metadata: {
      name,
      namespace: 'here',
      uid,
      resourceVersion,
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
    },
    spec: { n: n as number },
  }
}
