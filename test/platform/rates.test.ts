/** Callers that come too fast or guess: each is held back alone. */
import { randomBytes } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'
import { adminToken, call, openRegistry, raw, refusal } from './registry.ts'

const registry = await openRegistry(await database())
const guessable = { unknownRate: { perSecond: 0.01, burst: 20 } }
const platform = await registry.serve({ serverLimits: guessable })
afterAll(async () => {
  await platform.stop()
  await registry.close()
})

const outside = { backend: 'external', deliveryMode: 'poll', initialPhase: 'awaiting_agent' } as const
const tooMany = { status: 429, body: refusal('too_many_requests') }
const state = (base: string, id: string, token: string) => call(base, 'GET', `/workspaces/${id}/state`, token)
const beat = (base: string, id: string, token: string) =>
  call(base, 'POST', '/registry/heartbeat', token, { workspace_id: id })
/** Until the guesses of this address wait. */
async function guess(base: string): Promise<void> {
  const one = () => state(base, 'x', randomBytes(32).toString('base64url'))
  for (let n = 0; n < 20; n++) expect((await one()).status).toBeOneOf([401, 429])
  expect(await one()).toMatchObject(tooMany)
}
const asked = async (name: string) =>
  (await registry.metrics.sqlRows.get()).values.find(({ labels }) => labels.name === name)?.value ?? 0

describe('while somebody guesses from the same address', () => {
  it('a token that was met passes, and the admin', async () => {
    const { id, token } = await registry.workspace()
    expect((await state(platform.base, id, token)).status).toBe(200)
    await guess(platform.base)
    for (let n = 0; n < 30; n++) {
      expect((await beat(platform.base, id, token)).status).toBe(200)
      expect((await state(platform.base, id, token)).status).toBe(200)
    }
    expect((await state(platform.base, id, adminToken)).status).toBe(403)
    const before = await asked('authenticate')
    await guess(platform.base)
    expect(await asked('authenticate')).toBe(before)
  })

  it('a live token gets through soon after a start, when none was met', async () => {
    const { id, token } = await registry.workspace()
    const fresh = await registry.serve({ serverLimits: guessable })
    await guess(fresh.base)
    await until(async () => (await beat(fresh.base, id, token)).status === 200)
    expect((await state(fresh.base, id, token)).status).toBe(200)
    await fresh.stop()
  })

  it('a token that was revoked after it was met is refused, and then waits as a guess', async () => {
    const { id, token } = await registry.workspace(outside)
    await until(async () => (await state(platform.base, id, token)).status === 200)
    await registry.store.agents.rotateToken(id, randomBytes(32), 'prefix12')
    expect(await state(platform.base, id, token)).toMatchObject({ status: 401 })
    expect(await state(platform.base, id, token)).toMatchObject(tooMany)
    expect(await beat(platform.base, id, token)).toMatchObject(tooMany)
  })
})

it('a known caller that floods costs the database nothing, and holds back no other', async () => {
  const strict = await registry.serve({ serverLimits: { callerRate: { perSecond: 0.01, burst: 5 } } })
  const [loud, quiet] = [await registry.workspace(), await registry.workspace()]
  for (let n = 0; n < 5; n++) expect((await state(strict.base, loud.id, loud.token)).status).toBe(200)
  const before = await asked('authenticate')
  for (let n = 0; n < 5; n++) expect(await state(strict.base, loud.id, loud.token)).toMatchObject(tooMany)
  expect(await asked('authenticate')).toBe(before)
  expect((await state(strict.base, quiet.id, quiet.token)).status).toBe(200)
  await strict.stop()
})

it('cards and fetches have rates of their own', async () => {
  const { id, token } = await registry.workspace(outside)
  await until(async () => (await state(platform.base, id, token)).status === 200)
  const update = (n: number) =>
    call(platform.base, 'POST', '/registry/update-card', token, { workspace_id: id, agent_card: { n } })
  const take = () => call(platform.base, 'POST', `/workspaces/${id}/messages/take`, token, {})
  const statuses = async (ask: (n: number) => Promise<{ status: number }>, count: number) =>
    (await Promise.all(Array.from({ length: count }, (_, n) => ask(n)))).map(({ status }) => status)
  const limited = async (limit: string) =>
    (await registry.metrics.rateLimited.get()).values.find(({ labels }) => labels.limit === limit)?.value
  expect(new Set(await statuses(update, 10))).toEqual(new Set([200]))
  expect(await statuses(update, 10)).toContain(429)
  expect(await statuses(take, 60)).toContain(429)
  expect(await limited('card')).toBeGreaterThan(0)
  expect(await limited('take')).toBeGreaterThan(0)
  expect((await beat(platform.base, id, token)).status).toBe(200)
})

it('the callers of a namespace share one rate of messages; their beats and other namespaces go on', async () => {
  const strict = await registry.serve({ serverLimits: { messageRate: { perSecond: 0.01, burst: 3 } } })
  const [one, two] = [await registry.workspace(outside), await registry.workspace(outside)]
  const other = await registry.workspace({ ...outside, namespace: 'elsewhere' })
  const tell = ({ id, token }: { id: string; token: string }) =>
    call(strict.base, 'POST', `/workspaces/${id}/a2a`, token, { method: 'm' })
  for (const member of [one, two, one]) expect((await tell(member)).status).toBe(200)
  for (const member of [one, two]) expect(await tell(member)).toMatchObject(tooMany)
  expect((await tell(other)).status).toBe(200)
  expect((await beat(strict.base, one.id, one.token)).status).toBe(200)
  await strict.stop()
})

it('what needs no token is limited by address, and no body of it is read', async () => {
  const strict = await registry.serve({ serverLimits: { openRate: { perSecond: 0.01, burst: 6 } } })
  const member = await registry.workspace()
  const open = [
    ['GET', '/health'],
    ['GET', '/nothing'],
    ['POST', '/nothing'],
    ['POST', '/health'],
    ['GET', '/workspaces/x/state'],
  ] as const
  const statuses: number[] = []
  for (const [method, path] of open) statuses.push((await call(strict.base, method, path)).status)
  expect(statuses).toEqual([200, 404, 404, 404, 401])
  // Answered before the body has come.
  const head = 'POST /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n'
  expect(await raw(`${head}content-length: 60000\r\n\r\n{`, strict.port)).toMatch(/^HTTP\/1.1 404 .*"not_found"/s)
  for (const [method, path] of open) expect(await call(strict.base, method, path)).toMatchObject(tooMany)
  expect((await state(strict.base, member.id, member.token)).status).toBe(200)
  await strict.stop()
})
