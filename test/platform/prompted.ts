/** An agent for many addresses, which remembers every prompt it gets. */
import { setTimeout as sleep } from 'node:timers/promises'
import { startAgent } from './registry.ts'

interface Heard {
  /** Of the address that it came to. */
  readonly path: string
  readonly id: string
  readonly text: string
}

export async function startPrompted() {
  const heard: Heard[] = []
  /** What it does by the path of its address, unless it answers well. */
  const manners: Record<string, () => { status: number; body: object } | 'hang' | 'break'> = {}
  const count = { atOnce: 0, mostAtOnce: 0 }
  const agent = await startAgent((request, response) => {
    let sent = ''
    request.setEncoding('utf8').on('data', (chunk: string) => (sent += chunk))
    request.on('end', () => {
      const { params } = JSON.parse(sent) as { params: { message: { messageId: string; parts: { text: string }[] } } }
      const path = request.url ?? ''
      heard.push({ path, id: params.message.messageId, text: params.message.parts[0]?.text ?? '' })
      count.mostAtOnce = Math.max(count.mostAtOnce, ++count.atOnce)
      response.once('close', () => count.atOnce--)
      const manner = manners[path]?.() ?? { status: 200, body: { result: { kind: 'task' } } }
      if (manner === 'break') request.socket.destroy()
      else if (manner !== 'hang')
        void sleep(20).then(() =>
          response.writeHead(manner.status, { 'content-type': 'application/json' }).end(JSON.stringify(manner.body)),
        )
    })
  })
  return { url: agent.url, stop: agent.stop, heard, manners, count }
}
