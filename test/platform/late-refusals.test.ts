/** When a refusal is told: what a bound refuses, and what has no valid token, later than all else. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, expect, it } from 'vitest'
import { milliseconds } from '../../src/duration.ts'
import { database } from '../support/database.ts'
import { adminToken, call, openRegistry, refusal } from './registry.ts'

const registry = await openRegistry(await database())
afterAll(() => registry.close())

const hour = milliseconds(3_600_000)
const [never, soon] = [
  { after: hour, most: 1 },
  { after: milliseconds(1), most: 512 },
]
const limits = { callerRate: { perSecond: 0.001, burst: 2 } }
const state = (base: string, id: string, token: string) => call(base, 'GET', `/workspaces/${id}/state`, token)
const beat = (base: string, id: string, token: string) =>
  call(base, 'POST', '/registry/heartbeat', token, { workspace_id: id })

/** Begins a request whose answer is waited for elsewhere. */
function begin(port: number, token: string, more = 'content-length: 0') {
  const head = `POST /registry/heartbeat HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n${more}\r\n\r\n`
  const socket = connect(port, '127.0.0.1', () => void socket.write(head))
  const answer = once(socket, 'data').then(([text]) => String(text))
  answer.catch(() => {})
  return { socket, answer }
}

/** Of two that begin at once, the one that finds no place to wait is answered; the other waits. */
async function oneOfTwo(port: number, token: string, more?: string): Promise<string> {
  const both = [begin(port, token, more), begin(port, token, more)]
  const answer = await Promise.race(both.map((each) => each.answer))
  for (const { socket } of both) socket.destroy()
  return answer
}

it('what exceeds a rate waits, in bounded number, until its caller goes; all other faults are told at once', async () => {
  const platform = await registry.serve({ serverLimits: { ...limits, lateRefusals: { small: never, large: soon } } })
  const { id, token } = await registry.workspace()
  for (let n = 0; n < 2; n++) expect((await state(platform.base, id, token)).status).toBe(200)
  // The second pair finds a place only when the first has given its own back.
  for (let n = 0; n < 2; n++) expect(await oneOfTwo(platform.port, token)).toMatch(/^HTTP\/1.1 429 /)
  expect(await state(platform.base, 'nothing', adminToken)).toMatchObject({ status: 404 })
  await platform.stop()
})

it('a large body waits apart from small ones', async () => {
  const platform = await registry.serve({ serverLimits: { ...limits, lateRefusals: { small: soon, large: never } } })
  const { id, token } = await registry.workspace()
  for (let n = 0; n < 2; n++) expect((await state(platform.base, id, token)).status).toBe(200)
  expect(await oneOfTwo(platform.port, token, 'content-length: 70000')).toMatch(/^HTTP\/1.1 429 /)
  for (let n = 0; n < 3; n++)
    expect(await beat(platform.base, id, token)).toMatchObject({ status: 429, body: refusal('too_many_requests') })
  await platform.stop()
})

it('a token that is not valid is told so as late', async () => {
  const platform = await registry.serve({ serverLimits: { lateRefusals: { small: never, large: soon } } })
  expect(await oneOfTwo(platform.port, 'guess-of-a-token-that-nobody-has')).toMatch(/^HTTP\/1.1 401 /)
  await platform.stop()
})
