/**
 * Sends heartbeats at a steady rate, whether or not answers come, in a process of its own so that the platform's CPU is
 * measured alone. Told by one message; says `warm` when each member has beaten some times, and at the word `go` begins
 * and answers with a report.
 */
import { Agent, request } from 'node:http'
import { setInterval as every } from 'node:timers/promises'

export interface StormOrder {
  readonly port: number
  readonly members: readonly { readonly id: string; readonly token: string }[]
  readonly perSecond: number
  readonly beats: number
  /** A connection a member, or a new one for each beat. */
  readonly keepAlive: boolean
}
export interface StormReport {
  readonly ok: number
  /** Milliseconds until the answer, the slowest of a hundred left out. */
  readonly p99: number
}

process.once('message', (order: StormOrder) => void storm(order))

async function storm({ port, members, perSecond, beats, keepAlive }: StormOrder): Promise<void> {
  const agents = members.map(() => new Agent({ keepAlive, maxSockets: keepAlive ? 1 : Infinity }))
  const beat = (n: number) =>
    new Promise<number>((resolve) => {
      const member = members[n % members.length]
      const said = { error_rate: 0.01, active_tasks: n % 3, uptime_seconds: n, current_task: 'thinking' }
      const body = JSON.stringify({ workspace_id: member?.id, ...said })
      const headers = {
        authorization: `Bearer ${member?.token}`,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      }
      const to = { port, host: '127.0.0.1', path: '/registry/heartbeat', method: 'POST', headers }
      const began = performance.now()
      const sent = request({ ...to, agent: agents[n % members.length] }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode === 200 ? performance.now() - began : -1))
      })
      sent.on('error', () => resolve(-1)).end(body)
    })

  const atOnce = 200
  for (let n = 0; n < 6 * members.length; n += atOnce)
    await Promise.all(Array.from({ length: atOnce }, (_, more) => beat(n + more)))
  const go = new Promise((resolve) => process.once('message', resolve))
  process.send?.('warm')
  await go

  const answers: Promise<number>[] = []
  const began = performance.now()
  for await (const _ of every(2)) {
    const due = Math.min(beats, ((performance.now() - began) / 1000) * perSecond)
    while (answers.length < due) answers.push(beat(answers.length))
    if (answers.length === beats) break
  }
  const times = (await Promise.all(answers)).filter((time) => time >= 0).sort((a, b) => a - b)
  const report: StormReport = { ok: times.length, p99: times[Math.floor(times.length * 0.99)] ?? 0 }
  process.send?.(report)
  process.disconnect()
}
