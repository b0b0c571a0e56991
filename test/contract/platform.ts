import { once } from 'node:events'
import { createServer, type Server } from 'node:http'

interface Call {
  readonly token: string
  readonly body: Record<string, unknown>
}

interface StubPlatform {
  readonly server: Server
  readonly port: number
  readonly registered: Call[]
  readonly beats: Call[]
  /** Answers the next `n` calls with this code instead. */
  refuse(code: number, n: number): void
  message(text: string): string
}

/** The platform's two routes for agents, which only take notes. */
export async function openPlatform(address = '127.0.0.1'): Promise<StubPlatform> {
  const registered: Call[] = []
  const beats: Call[] = []
  const refusals: number[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const token = (request.headers.authorization ?? '').replace(/^Bearer /, '')
      const call = { token, body: JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown> }
      const refusal = refusals.shift()
      if (refusal === undefined) (request.url === '/registry/register' ? registered : beats).push(call)
      response.writeHead(refusal ?? 200, { connection: 'close' }).end('{}')
    })
  })
  server.listen(0, address)
  await once(server, 'listening')
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('no port was given')
  return {
    server,
    port: bound.port,
    registered,
    beats,
    refuse: (code, n) => void refusals.push(...Array.from({ length: n }, () => code)),
    message: (text) => {
      const params = { message: { role: 'user', messageId: 'm1', parts: [{ kind: 'text', text }] } }
      return JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'message/send', params })
    },
  }
}
