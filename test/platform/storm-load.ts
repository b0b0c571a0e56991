/**
 * Sends heartbeats as fast as `atOnce` callers can, in a process of its own so that the platform's CPU is measured
 * alone. Told by one message { port, members, beats, atOnce, keepAlive }; answers { ok, milliseconds }.
 */
import { Agent, request } from 'node:http'

export interface StormOrder {
  readonly port: number
  readonly members: readonly { readonly id: string; readonly token: string }[]
  readonly beats: number
  readonly atOnce: number
  readonly keepAlive: boolean
}
export interface StormReport {
  readonly ok: number
  readonly milliseconds: number
}

process.once('message', (order: StormOrder) => void storm(order))

async function storm(order: StormOrder): Promise<void> {
  const { port, members, beats, atOnce, keepAlive } = order
  const agent = new Agent({ keepAlive, maxSockets: atOnce })
  const beat = (n: number) =>
    new Promise<boolean>((resolve) => {
      const member = members[n % members.length]
      const said = { error_rate: 0.01, active_tasks: n % 3, uptime_seconds: n, current_task: 'thinking' }
      const body = JSON.stringify({ workspace_id: member?.id, ...said })
      const headers = {
        authorization: `Bearer ${member?.token}`,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      }
      const path = '/registry/heartbeat'
      const sent = request({ port, host: '127.0.0.1', path, method: 'POST', agent, headers }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode === 200))
      })
      sent.on('error', () => resolve(false)).end(body)
    })
  let next = 0
  let ok = 0
  const caller = async () => {
    while (next < beats) if (await beat(next++)) ok++
  }
  const began = performance.now()
  await Promise.all(Array.from({ length: atOnce }, caller))
  const report: StormReport = { ok, milliseconds: performance.now() - began }
  process.send?.(report)
  process.disconnect()
}
