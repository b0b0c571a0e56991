/** One message to an agent by the platform's A2A route, as an admin sends it. */
import { z } from 'zod'

const deadline = 15_000

const answerShape = z.object({
  result: z.object({ parts: z.array(z.object({ text: z.string().optional() })) }).optional(),
})

interface To {
  readonly platformUrl: string
  readonly adminToken: string
  readonly workspaceId: string
}

/** Sends `text` and gives the text of the answer. Throws what the platform or the agent said instead. */
export async function ask({ platformUrl, adminToken, workspaceId }: To, text: string): Promise<string> {
  const message = { kind: 'message', role: 'user', messageId: crypto.randomUUID(), parts: [{ kind: 'text', text }] }
  const response = await fetch(`${platformUrl}/workspaces/${workspaceId}/a2a`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'message/send', params: { message } }),
    signal: AbortSignal.timeout(deadline),
  })
  const body = await response.text()
  const read = answerShape.safeParse(parsed(body))
  const said = read.data?.result?.parts.map((part) => part.text ?? '').join('')
  if (response.ok && said !== undefined && said !== '') return said
  throw new Error(`${String(response.status)} ${body.slice(0, 300)}`)
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
