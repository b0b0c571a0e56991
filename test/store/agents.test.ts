import { randomBytes, randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { minutes } from '../../src/duration.ts'
import type { Heartbeat } from '../../src/store/agent-store.ts'
import { workspaceId, type Phase, type WorkspaceIntent } from '../../src/store/workspace-store.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'
import { beatOf, eventsOf, fenceOf, given, intent, keyOf, launchOf, lease, rowOf } from './given.ts'

const { store, sql } = given(await database())
const fence = fenceOf(await store.leaders.begin(lease, 'test'))
const { workspaces, agents } = store

async function recorded(more: Partial<WorkspaceIntent> = {}): Promise<WorkspaceIntent> {
  const asked = intent(more)
  rowOf(await workspaces.record(asked, fence))
  return asked
}
const rowAgain = async (asked: WorkspaceIntent) => rowOf(await workspaces.record(asked, fence))
const put = (id: string, phase: Phase) => sql('UPDATE workspaces SET status = $2 WHERE id = $1', id, phase)
const register = (id: WorkspaceIntent['id'], url = '') =>
  agents.register({ id, url, agentCard: { name: 'a' }, deliveryMode: undefined })

test('register: where it leads to from each phase', async () => {
  const leads: Record<Phase, Phase | undefined> = {
    provisioning: 'online',
    online: 'online',
    offline: 'online',
    degraded: 'online',
    failed: 'online',
    awaiting_agent: 'online',
    paused: 'paused',
    hibernating: 'hibernating',
    hibernated: 'hibernated',
    removed: undefined,
  }
  for (const [from, to] of Object.entries(leads) as [Phase, Phase | undefined][]) {
    const { id } = await recorded()
    await put(id, from)
    expect(await register(id), from).toEqual(to && { status: to })
    const [row] = await sql('SELECT status FROM workspaces WHERE id = $1', id)
    expect(row?.['status']).toBe(to ?? 'removed')
    const told = from === to || to === undefined ? [] : ['WORKSPACE_ONLINE']
    expect((await eventsOf(sql, id)).slice(1), from).toEqual(told)
  }
})

test('heartbeat: where it leads to, by what it says', async () => {
  const cases: [Phase, Partial<Heartbeat>, Phase, string?][] = [
    ['provisioning', {}, 'online', 'WORKSPACE_ONLINE'],
    ['offline', {}, 'online', 'WORKSPACE_ONLINE'],
    ['awaiting_agent', {}, 'online', 'WORKSPACE_ONLINE'],
    ['online', { errorRate: 0.49 }, 'online'],
    ['online', { errorRate: 0.5 }, 'degraded', 'WORKSPACE_DEGRADED'],
    ['online', { errorRate: 0.9, ownsStatus: true }, 'online'],
    ['online', { state: 'wedged', ownsStatus: true }, 'degraded', 'WORKSPACE_DEGRADED'],
    ['degraded', { errorRate: 0.1 }, 'degraded'],
    ['degraded', { errorRate: 0.09 }, 'online', 'WORKSPACE_ONLINE'],
    ['degraded', { state: 'wedged' }, 'degraded'],
    ['failed', {}, 'failed'],
    ['paused', {}, 'paused'],
    ['hibernated', {}, 'hibernated'],
  ]
  for (const [from, says, to, event] of cases) {
    const { id } = await recorded()
    await put(id, from)
    expect(await agents.heartbeat(beatOf(id, says)), `${from} ${JSON.stringify(says)}`).toEqual({ status: to })
    expect((await eventsOf(sql, id)).slice(1), from).toEqual(event ? [event] : [])
  }
})

test('a launch that follows one that the backend did not carry out is no restart', async () => {
  const asked = await recorded()
  const launched = async () => (await workspaces.launch(launchOf(asked), fence)).restarts
  const failed = (reason: string, more: object = {}) => {
    const failure = { reason, exitCode: undefined, at: new Date(), logTail: '', ...more }
    const event = 'WORKSPACE_PROVISION_FAILED'
    return workspaces.change(
      { ...keyOf(asked), from: ['provisioning', 'online'], to: 'failed', event, reason, failure },
      fence,
    )
  }
  expect(await launched()).toBe(0)
  expect(await failed('NameTaken', { refused: true })).toMatchObject({ lastFailure: { refused: true } })
  expect(await launched()).toBe(0)
  await failed('LaunchFailed')
  expect(await launched()).toBe(0)
  await failed('InstanceExited')
  expect(await launched()).toBe(1)
  await register(asked.id)
  expect(await launched()).toBe(2)
})

test('a beat alone makes online only what messages reach', async () => {
  const beaten = async (more: Partial<WorkspaceIntent>, prepare: (id: WorkspaceIntent['id']) => Promise<unknown>) => {
    const { id } = await recorded({ deliveryMode: 'push', ...more })
    await prepare(id)
    return (await agents.heartbeat(beatOf(id)))?.status
  }
  const nothing = async () => undefined
  const at = (url: string) => (id: string) => sql('UPDATE workspaces SET url = $2 WHERE id = $1', id, url)
  const gone = (phase: Phase) => async (id: WorkspaceIntent['id']) => {
    await register(id)
    await put(id, phase)
  }
  const external = { backend: 'external', initialPhase: 'awaiting_agent' } as const
  expect(await beaten({}, nothing)).toBe('provisioning')
  expect(await beaten({ ...external }, nothing)).toBe('awaiting_agent')
  expect(await beaten({}, at('http://127.0.0.1:9'))).toBe('online')
  expect(await beaten({ ...external }, at('https://agent.example'))).toBe('online')
  expect(await beaten({ ...external, deliveryMode: 'poll' }, nothing)).toBe('online')
  // It has registered, and its backend knows where it is.
  expect(await beaten({}, gone('offline'))).toBe('online')
  expect(await beaten({ ...external }, gone('awaiting_agent'))).toBe('awaiting_agent')
})

test('the first beat of what has not registered is told of, the next ones are not', async () => {
  const { id } = await recorded({ deliveryMode: 'push' })
  const signalled = async () =>
    (await sql('SELECT signalled_at FROM workspaces WHERE id = $1', id))[0]?.['signalled_at']
  expect(await signalled()).toBeNull()
  await agents.heartbeat(beatOf(id))
  const first = await signalled()
  expect(first).toBeInstanceOf(Date)
  await agents.heartbeat(beatOf(id))
  expect(await signalled()).toEqual(first)
})

test.each([
  ['ahead', 60_000],
  ['behind', -60_000],
])('so it is after a launch by a machine whose clock is %s of the database', async (_, ahead) => {
  const asked = intent({ deliveryMode: 'push' })
  await workspaces.record(asked, fence)
  const signalled = async () =>
    (await sql('SELECT signalled_at FROM workspaces WHERE id = $1', asked.id))[0]?.['signalled_at']
  await agents.heartbeat(beatOf(asked.id))
  const before = await signalled()
  await workspaces.launch({ ...launchOf(asked), at: new Date(Date.now() + ahead) }, fence)
  await agents.heartbeat(beatOf(asked.id))
  const first = await signalled()
  expect(first).not.toEqual(before)
  await agents.heartbeat(beatOf(asked.id))
  expect(await signalled()).toEqual(first)
})

test('a refused registration is kept and told of, until the agent registers or is launched anew', async () => {
  const asked = await recorded()
  const { id } = asked
  const refusal = async () => (await rowAgain(asked)).registrationRefusal
  const signalled = async () =>
    (await sql('SELECT signalled_at FROM workspaces WHERE id = $1', id))[0]?.['signalled_at']
  await agents.refuseRegistration(id, 'url cannot be used')
  expect(await refusal()).toBe('url cannot be used')
  const told = await signalled()
  expect(told).toBeInstanceOf(Date)
  // An agent that is refused for another thing each time must not cost a status each time.
  await agents.refuseRegistration(id, 'agent_card: no')
  expect([await refusal(), await signalled()]).toEqual(['url cannot be used', told])
  await sql(`UPDATE workspaces SET signalled_at = now() - interval '11 seconds' WHERE id = $1`, id)
  await agents.refuseRegistration(id, 'agent_card: no')
  expect(await refusal()).toBe('agent_card: no')
  await workspaces.launch(launchOf(asked), fence)
  expect(await refusal()).toBeUndefined()
  await agents.refuseRegistration(id, 'no')
  await register(id)
  expect(await refusal()).toBeUndefined()
  await agents.refuseRegistration(id, 'what serves is not told of')
  expect(await refusal()).toBeUndefined()
})

test('a beat’s facts become columns, whether or not its status is another; a spend of zero says nothing', async () => {
  const asked = await recorded()
  expect(await agents.heartbeat(beatOf(asked.id))).toEqual({ status: 'online' })
  const says = { errorRate: 0.2, sampleError: 'oops', activeTasks: 2, currentTask: 'a "task"', monthlySpend: 250 }
  await agents.heartbeat(beatOf(asked.id, says))
  await agents.heartbeat(beatOf(asked.id, { ...says, monthlySpend: 0 }))
  expect(await rowAgain(asked)).toMatchObject({
    activeTasks: 2,
    errorRate: 0.2,
    currentTask: 'a "task"',
    lastError: 'oops',
  })
  expect(await sql('SELECT monthly_spend FROM workspaces WHERE id = $1', asked.id)).toEqual([{ monthly_spend: '250' }])
})

test('a launch begins an incarnation: one live token, attempts counted until the agent comes', async () => {
  const asked = await recorded()
  const first = launchOf(asked)
  expect(await workspaces.launch(first, fence)).toMatchObject({ status: 'provisioning', launchAttempts: 1 })
  expect(await workspaces.launch(first, fence)).toMatchObject({ launchAttempts: 1 })
  await workspaces.observed(
    { ...keyOf(asked), instanceId: 'c1', url: 'http://127.0.0.1:1', imageDigest: undefined },
    fence,
  )
  const second = launchOf(asked)
  expect(await workspaces.launch(second, fence)).toMatchObject({ launchAttempts: 2, url: '', registeredAt: undefined })
  expect(await agents.authenticate(first.tokenHash)).toBeUndefined()
  expect(await agents.authenticate(second.tokenHash)).toMatchObject({ id: asked.id })
  await register(asked.id)
  const row = await rowAgain(asked)
  expect(row).toMatchObject({ status: 'online', launchAttempts: 0, launchedHash: 'hash-1' })
  expect(row.registeredAt).toBeInstanceOf(Date)
  expect(await workspaces.launch(launchOf(asked, 'hash-2'), fence)).toMatchObject({
    status: 'provisioning',
    launchAttempts: 1,
    registeredAt: undefined,
  })
})

test('observed facts are written where they differ; undefined leaves the address', async () => {
  const key = keyOf(await recorded())
  const { id } = key
  const facts = { ...key, instanceId: 'c1', url: 'http://127.0.0.1:1', imageDigest: 'sha256:1' }
  await workspaces.observed(facts, fence)
  const version = () => sql('SELECT xmin::text, xmax::text FROM workspaces WHERE id = $1', id)
  const before = await version()
  expect(await workspaces.observed(facts, fence)).toMatchObject({ instanceId: 'c1', url: facts.url })
  expect(await version()).toEqual(before)
  expect(
    await workspaces.observed({ ...key, instanceId: undefined, url: undefined, imageDigest: undefined }, fence),
  ).toMatchObject({ instanceId: undefined, url: facts.url, imageDigest: 'sha256:1' })
})

test('a change happens only from where it was said to, once, with its event', async () => {
  const asked = await recorded()
  const failing = {
    ...keyOf(asked),
    from: ['provisioning'] as const,
    to: 'failed' as const,
    event: 'WORKSPACE_PROVISION_FAILED',
    reason: 'BootTimeout',
    error: 'no word',
  }
  expect(await workspaces.change(failing, fence)).toMatchObject({ status: 'failed', lastError: 'no word' })
  expect(await workspaces.change(failing, fence)).toMatchObject({ status: 'failed' })
  await put(asked.id, 'online')
  expect(await workspaces.change(failing, fence)).toMatchObject({ status: 'online' })
  expect(await eventsOf(sql, asked.id)).toEqual(['WORKSPACE_PROVISIONING', 'WORKSPACE_PROVISION_FAILED'])
})

test('removal revokes the tokens and is final: a late beat or register revives nothing', async () => {
  const asked = await recorded({ canvas: { x: 1, y: 1, collapsed: false } })
  const launch = launchOf(asked)
  await workspaces.launch(launch, fence)
  expect(await workspaces.remove({ ...asked, ownerUid: 'another resource' }, fence)).toBeUndefined()
  expect(await workspaces.remove({ ...asked, namespace: 'another' }, fence)).toBeUndefined()
  expect(await agents.authenticate(launch.tokenHash)).toMatchObject({ id: asked.id })
  for (let twice = 0; twice < 2; twice++)
    expect(await workspaces.remove(asked, fence)).toMatchObject({ backend: 'process' })
  expect(await agents.authenticate(launch.tokenHash)).toBeUndefined()
  expect(await agents.heartbeat(beatOf(asked.id))).toBeUndefined()
  expect(await register(asked.id)).toBeUndefined()
  expect(await agents.address(asked.id)).toBeUndefined()
  expect(await agents.mintToken(asked.id, randomBytes(32), 'abcdefgh')).toBe('absent')
  expect(await sql('SELECT status FROM workspaces WHERE id = $1', asked.id)).toEqual([{ status: 'removed' }])
  expect(await sql('SELECT 1 FROM canvas_layouts WHERE workspace_id = $1', asked.id)).toEqual([])
  expect((await eventsOf(sql, asked.id)).filter((event) => event === 'WORKSPACE_REMOVED')).toHaveLength(1)
  expect(await workspaces.remove(intent(), fence)).toBeUndefined()
})

test('the address an agent names is kept for external ones alone', async () => {
  const [outside, inside] = [await recorded({ backend: 'external' }), await recorded()]
  await register(outside.id, 'https://agent.example')
  await register(inside.id, 'https://agent.example')
  expect((await agents.address(outside.id))?.url).toBe('https://agent.example')
  expect((await agents.address(inside.id))?.url).toBe('')
})

test('a workspace has at most 50 live tokens', async () => {
  const { id } = await recorded()
  const hashes = Array.from({ length: 50 }, () => randomBytes(32))
  for (const hash of hashes) expect(await agents.mintToken(id, hash, 'abcdefgh')).toBe('minted')
  expect(await agents.mintToken(id, randomBytes(32), 'abcdefgh')).toBe('full')
  expect(await agents.mintToken(id, hashes[0] ?? randomBytes(32), 'abcdefgh')).toBe('minted')
  const found = await Promise.all([...hashes, randomBytes(32)].map((hash) => agents.authenticate(hash)))
  expect(found).toEqual([...hashes.map(() => ({ id, namespace: 'acme' })), undefined])
  const live = await agents.liveTokens(1000)
  expect(live.filter((token) => token.id === id).map(({ hash }) => hash.toString('hex'))).toEqual(
    expect.arrayContaining(hashes.map((hash) => hash.toString('hex'))),
  )
  expect(await agents.liveTokens(2)).toEqual(live.slice(-2))
})

test('who may talk: self, siblings, ancestors and descendants', async () => {
  const root = await recorded({ namespace: 'talk' })
  const otherRoot = await recorded({ namespace: 'talk' })
  const foreignRoot = await recorded({ namespace: 'elsewhere' })
  const left = await recorded({ namespace: 'talk', parentOwnerUid: root.ownerUid })
  const right = await recorded({ namespace: 'talk', parentOwnerUid: root.ownerUid })
  const cousin = await recorded({ namespace: 'talk', parentOwnerUid: otherRoot.ownerUid })
  const leaf = await recorded({ namespace: 'talk', parentOwnerUid: left.ownerUid })
  const may: [WorkspaceIntent, WorkspaceIntent, boolean][] = [
    [root, root, true],
    [root, otherRoot, true],
    [root, foreignRoot, false],
    [left, right, true],
    [root, leaf, true],
    [leaf, root, true],
    [leaf, right, false],
    [left, cousin, false],
    [otherRoot, leaf, false],
  ]
  const unknown = workspaceId(randomUUID())
  // In one statement, each by itself.
  const answers = await Promise.all([
    ...may.map(([from, to]) => agents.mayTalk(from.id, to.id)),
    agents.mayTalk(root.id, unknown),
    agents.mayTalk(unknown, unknown),
  ])
  expect(answers).toEqual([...may.map(([, , allowed]) => allowed), false, false])
  await workspaces.remove(leaf, fence)
  await workspaces.remove(right, fence)
  const removed = [
    agents.mayTalk(root.id, leaf.id),
    agents.mayTalk(left.id, right.id),
    agents.mayTalk(right.id, left.id),
  ]
  expect(await Promise.all(removed)).toEqual([false, false, false])
})

test('a message leaves its trace and moves the sender’s clock', async () => {
  const [from, to] = [await recorded(), await recorded()]
  await agents.logMessage({ from: from.id, to: to.id, method: 'message/send', outcome: 'queued', body: '{"a":1}' })
  expect(
    await sql('SELECT source_id, method, status, request_body FROM activity_logs WHERE workspace_id = $1', to.id),
  ).toEqual([{ source_id: from.id, method: 'message/send', status: 'queued', request_body: { a: 1 } }])
  const [sender] = await sql('SELECT last_outbound_at IS NOT NULL AS moved FROM workspaces WHERE id = $1', from.id)
  expect(sender).toEqual({ moved: true })
})

test('silence becomes offline, or awaiting_agent outside; a fresh beat does not, nor a long boot', async () => {
  await sql(`UPDATE workspaces SET last_heartbeat_at = now() WHERE status IN ('online', 'degraded')`)
  const [silent, outside, fresh] = [await recorded(), await recorded({ backend: 'external' }), await recorded()]
  for (const { id } of [silent, outside, fresh]) await agents.heartbeat(beatOf(id))
  await sql(`UPDATE workspaces SET last_heartbeat_at = now() - interval '10 minutes' WHERE id = ANY ($1)`, [
    silent.id,
    outside.id,
  ])
  const booting = await recorded()
  await sql(`UPDATE workspaces SET status_since = now() - interval '10 minutes' WHERE id = $1`, booting.id)
  expect(await agents.expire(minutes(3))).toBe(2)
  expect(await agents.expire(minutes(3))).toBe(0)
  expect((await rowAgain(silent)).status).toBe('offline')
  expect((await rowAgain(outside)).status).toBe('awaiting_agent')
  expect((await rowAgain(fresh)).status).toBe('online')
  expect((await rowAgain(booting)).status).toBe('provisioning')
  expect((await eventsOf(sql, outside.id)).at(-1)).toBe('WORKSPACE_OFFLINE')
  const counted = await agents.countByPhase()
  expect(Object.keys(counted)).toHaveLength(10)
  expect(counted.removed).toBe(0)
})

test('only a change of meaning is signalled, and a sweep’s finding too', async () => {
  const abort = new AbortController()
  const heard: string[] = []
  const listening = (async () => {
    for await (const { resourceName } of workspaces.changes(abort.signal)) heard.push(resourceName)
  })()
  const waiting = await recorded()
  await until(async () => {
    // Until LISTEN is in force nothing can be heard: beat from offline until the first is.
    await put(waiting.id, 'offline')
    await agents.heartbeat(beatOf(waiting.id))
    return heard.length > 0
  })
  heard.length = 0
  const [quiet, last] = [await recorded(), await recorded()]
  await agents.heartbeat(beatOf(quiet.id))
  await agents.heartbeat(beatOf(quiet.id, { activeTasks: 3 }))
  await agents.heartbeat(beatOf(quiet.id, { state: 'wedged' }))
  await agents.heartbeat(beatOf(quiet.id, { state: 'wedged', uptimeSeconds: 99 }))
  await sql(`UPDATE workspaces SET last_heartbeat_at = now() WHERE status IN ('online', 'degraded')`)
  await agents.heartbeat(beatOf(last.id))
  // They come in the order of their commits: whatever the beats said has been heard when the last one's is.
  await until(() => heard.includes(last.resourceName))
  expect(heard.filter((name) => name === quiet.resourceName).length).toBeLessThanOrEqual(2)
  expect(heard).toContain(quiet.resourceName)
  heard.length = 0
  await sql(`UPDATE workspaces SET last_heartbeat_at = now() - interval '1 hour' WHERE id = $1`, last.id)
  expect(await agents.expire(minutes(30))).toBe(1)
  await until(() => heard.includes(last.resourceName))
  abort.abort()
  await listening
})
