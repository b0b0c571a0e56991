/** Names that agents choose, against name servers that answer and one that never does. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { lookup } from 'node:dns/promises'
import { afterAll, expect, test } from 'vitest'
import { milliseconds, minutes, seconds } from '../../src/duration.ts'
import { LookUps } from '../../src/look-ups.ts'
import { LookUpsBusy } from '../../src/outbound.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'
import { call, openRegistry, refusal } from './registry.ts'

type Answer = 'silence' | 'none' | 'failure' | readonly [number, number, number, number]

/** Speaks as much DNS as it takes: one question, an A record or none. */
async function nameServer(answerTo: (name: string) => Answer) {
  const socket = createSocket('udp4')
  const asked: string[] = []
  socket.on('message', (question, from) => {
    const labels: string[] = []
    let at = 12
    for (let length = question[at] ?? 0; length > 0; length = question[at] ?? 0) {
      labels.push(question.toString('latin1', at + 1, at + 1 + length))
      at += 1 + length
    }
    const name = labels.join('.').toLowerCase()
    asked.push(name)
    const answer = answerTo(name)
    if (answer === 'silence') return
    const body = question.subarray(12, at + 5)
    const found = typeof answer !== 'string' && question.readUInt16BE(at + 1) === 1
    const head = Buffer.alloc(12)
    question.copy(head, 0, 0, 2)
    head.writeUInt16BE(answer === 'none' ? 0x8183 : answer === 'failure' ? 0x8182 : 0x8180, 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(found ? 1 : 0, 6)
    const record = found ? [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, ...answer] : []
    socket.send(Buffer.concat([head, body, Buffer.from(record)]), from.port, from.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return { server: `127.0.0.1:${socket.address().port}`, asked, stop: () => socket.close() }
}

const silent = await nameServer(() => 'silence')
const known = await nameServer((name) => (name === 'agent.test' ? [93, 184, 216, 34] : 'none'))
const registry = await openRegistry(await database())
afterAll(async () => {
  for (const { stop } of [silent, known]) stop()
  await registry.close()
})
/** No question ends while a test looks. */
const patient = { question: minutes(1), whole: minutes(1), patience: minutes(1) }

test('of the names that one agent registers two are looked up at once, and meanwhile the system resolves others', async () => {
  let busy = 0
  const { resolve } = new LookUps({ servers: [silent.server], limits: patient, onBusy: () => busy++ })
  // More at once than an agent may register: the look-ups themselves are to be bounded.
  const platform = await registry.serve({ resolve, serverLimits: { cardRate: { perSecond: 1, burst: 60 } } })
  const { id, token } = await registry.workspace({ backend: 'external', initialPhase: 'awaiting_agent' })
  const register = (n: number) =>
    call(platform.base, 'POST', '/registry/register', token, { id, agent_card: {}, url: `http://x${n}.slow.test/` })
  const answers = Promise.all(Array.from({ length: 60 }, (_, n) => register(n)))
  await until(() => busy === 50 && silent.asked.length >= 4)
  const began = performance.now()
  await lookup('localhost')
  expect(performance.now() - began).toBeLessThan(2000)
  expect(new Set(silent.asked).size).toBe(2)
  const refused = (await answers).filter(({ status }) => status === 429)
  expect(refused).toHaveLength(50)
  expect(refused[0]).toMatchObject({ body: refusal('lookups_busy', 'too many names are being looked up') })
  expect(refused[0]?.headers.get('retry-after')).toBe('5')
  await platform.stop()
})

test('names of a whole namespace whose server is silent leave look-ups for another one, and for sources', async () => {
  const { server, asked, stop } = await nameServer((name) =>
    name.endsWith('slow.test') ? 'silence' : [93, 184, 216, 34],
  )
  const { resolve } = new LookUps({ servers: [server], limits: patient })
  for (let n = 0; n < 60; n++)
    void resolve(`n${n}.slow.test`, { caller: `agent-${n}`, namespace: `crowd-${n % 3}` }).catch(() => undefined)
  await until(() => new Set(asked).size >= 7)
  const found = [{ address: '93.184.216.34', family: 4 }]
  expect(await resolve('one.test', { caller: 'agent', namespace: 'other' })).toEqual(found)
  expect(await resolve('two.test', {})).toEqual(found)
  stop()
})

test('a name that failed is not asked for again, a name asked for twice at once is asked for once', async () => {
  const { resolve } = new LookUps({ servers: [known.server] })
  await expect(resolve('gone.test', {})).rejects.toMatchObject({ code: 'ENOTFOUND' })
  const before = known.asked.length
  await expect(resolve('GONE.test', {})).rejects.toMatchObject({ code: 'ENOTFOUND' })
  expect(known.asked).toHaveLength(before)
  const [one, two] = await Promise.all([resolve('agent.test', {}), resolve('agent.test', {})])
  expect(one).toEqual([{ address: '93.184.216.34', family: 4 }])
  expect(two).toEqual(one)
  expect(known.asked.filter((name) => name === 'agent.test')).toHaveLength(2)
})

test('a name whose server is silent is given up in time, and one that waits in line too', async () => {
  const { resolve } = new LookUps({
    servers: [silent.server],
    limits: { question: seconds(20), whole: milliseconds(300), patience: milliseconds(50) },
  })
  const claim = { caller: 'one', namespace: 'ns' }
  const names = ['a.test', 'b.test', 'c.test'].map((name) => resolve(name, claim))
  const outcomes = await Promise.allSettled(names)
  const errors = outcomes.map((each) =>
    each.status === 'rejected' ? (each.reason as NodeJS.ErrnoException) : undefined,
  )
  expect(errors.filter((error) => error?.code === 'ECANCELLED')).toHaveLength(2)
  expect(errors.filter((error) => error instanceof LookUpsBusy)).toHaveLength(1)
})

test('a name that no server can tell of is no fault of the agent: it is told to come again, and nothing is kept', async () => {
  let broken = true
  const { server, stop } = await nameServer((name) =>
    name !== 'agent.test' ? 'none' : broken ? 'failure' : [93, 184, 216, 34],
  )
  const { resolve } = new LookUps({ servers: [server], limits: { remembered: milliseconds(0) } })
  const platform = await registry.serve({ resolve, serverLimits: { cardRate: { perSecond: 50, burst: 50 } } })
  const { id, token } = await registry.workspace({ backend: 'external', initialPhase: 'awaiting_agent' })
  const register = (host: string) =>
    call(platform.base, 'POST', '/registry/register', token, { id, agent_card: {}, url: `http://${host}/` })
  const refused = await register('agent.test')
  expect(refused).toMatchObject({ status: 503, body: refusal('lookup_failed') })
  expect(refused.headers.get('retry-after')).toBe('30')
  const kept = async () =>
    (await registry.sql('SELECT url, registration_refusal AS refusal FROM workspaces WHERE id = $1', [id]))[0]
  expect(await kept()).toEqual({ url: '', refusal: null })
  expect(await register('gone.test')).toMatchObject({ status: 400, body: refusal('url_refused') })
  broken = false
  expect(await register('agent.test')).toMatchObject({ status: 200 })
  expect(await kept()).toEqual({ url: 'http://agent.test/', refusal: null })
  await platform.stop()
  stop()
})

test('localhost is not asked of a server, and the names of /etc/hosts are its own', async () => {
  const { resolve } = new LookUps({ servers: [silent.server] })
  const addresses = (await resolve('LocalHost', {})).map(({ address }) => address)
  expect(addresses).toContain('127.0.0.1')
  expect(await resolve('agent.localhost', {})).toEqual([{ address: '127.0.0.1', family: 4 }])
  expect(silent.asked).not.toContain('localhost')
})
