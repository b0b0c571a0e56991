import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, request, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { once } from 'node:events'
import { Transform } from 'node:stream'
import { text } from 'node:stream/consumers'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

interface Proxy {
  readonly host: string
  /** `METHOD url` of everything that passed. */
  readonly requests: string[]
  /** Ends every connection and refuses new ones, as an engine that is gone. */
  sever(): void
  mend(): void
  /** From now on lets nothing through of what the engine answers to such a path, once the head has passed; undefined: all. */
  readonly mute: (path: RegExp | undefined) => void
  close(): Promise<void>
}

interface Answer {
  readonly code: number
  readonly body: unknown
}

interface Meddling {
  /** What the engine is given in place of a body. */
  readonly rewrite?: (asked: IncomingMessage, body: string) => string
  /** Told when the engine has answered, before that is passed on. */
  readonly answered?: (asked: IncomingMessage) => void
}

/** A socket in front of the engine, to watch what is asked and to break the line; `answer` replies in its stead. */
export async function openProxy(
  host: string,
  answer?: (asked: IncomingMessage) => Answer | undefined,
  { rewrite, answered }: Meddling = {},
): Promise<Proxy> {
  const folder = mkdtempSync(join(tmpdir(), 'molecule-proxy-'))
  const socket = join(folder, 'docker.sock')
  const requests: string[] = []
  const open = new Set<Socket>()
  let severed = false
  let muted: RegExp | undefined
  const server = createServer((asked, response) => {
    requests.push(`${asked.method} ${asked.url}`)
    const instead = answer?.(asked)
    if (instead !== undefined) {
      response.writeHead(instead.code, { 'content-type': 'application/json' })
      response.end(JSON.stringify(instead.body))
      return
    }
    const { method, url: path, headers } = asked
    const pass = (body?: string) => {
      const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
      const socketPath = host.replace('unix://', '')
      const onward = request({ socketPath, method, path, headers: { ...headers, ...length } }, (reply) => {
        answered?.(asked)
        response.writeHead(reply.statusCode ?? 502, reply.headers)
        response.flushHeaders()
        const through = new Transform({
          transform: (chunk, _, done) => done(null, muted?.test(path ?? '') === true ? undefined : chunk),
        })
        reply.pipe(through).pipe(response)
      })
      onward.on('error', () => response.destroy())
      response.on('close', () => onward.destroy())
      if (body === undefined) asked.pipe(onward)
      else onward.end(body)
    }
    if (rewrite === undefined || headers['content-type'] !== 'application/json') pass()
    else
      text(asked).then(
        (body) => pass(rewrite(asked, body)),
        () => response.destroy(),
      )
  })
  // Who keeps a connection closes it, too: else a request may be sent on one that is being closed.
  server.keepAliveTimeout = 0
  server.on('connection', (connection: Socket) => {
    if (severed) return void connection.destroy()
    open.add(connection)
    connection.once('close', () => open.delete(connection))
  })
  const drop = () => {
    for (const connection of open) connection.destroy()
  }
  server.listen(socket)
  await once(server, 'listening')
  return {
    host: `unix://${socket}`,
    requests,
    sever: () => {
      severed = true
      drop()
    },
    mend: () => {
      severed = false
    },
    mute: (path) => {
      muted = path
    },
    close: async () => {
      drop()
      server.close()
      await once(server, 'close')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
