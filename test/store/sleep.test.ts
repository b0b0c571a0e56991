import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Phase, WorkspaceIntent } from '../../src/store/workspace-store.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'
import { beatOf, eventsOf, fenceOf, given, intent, keyOf, launchOf, lease, rowOf, someoneWaits } from './given.ts'

const url = await database()
const { store, sql } = given(url)
const replica = given(url)
const other = given(url)
const fence = fenceOf(await store.leaders.begin(lease, 'test'))
const { workspaces, agents } = store

const put = (id: string, phase: Phase) => sql('UPDATE workspaces SET status = $2 WHERE id = $1', id, phase)
const rowAgain = async (asked: WorkspaceIntent) => rowOf(await workspaces.record(asked, fence))
const register = (id: WorkspaceIntent['id']) =>
  agents.register({ id, url: '', agentCard: undefined, deliveryMode: undefined })
const message = (from: WorkspaceIntent, to: WorkspaceIntent) =>
  agents.logMessage({ from: from.id, to: to.id, method: 'm', outcome: 'ok' })

/** An agent that is online and has been idle for an hour. */
async function idle(): Promise<WorkspaceIntent> {
  const asked = intent()
  await workspaces.record(asked, fence)
  await workspaces.launch(launchOf(asked), fence)
  await register(asked.id)
  await sql(
    `UPDATE workspaces SET registered_at = now() - interval '1 hour', last_task_at = NULL, last_traffic_at = NULL
     WHERE id = $1`,
    asked.id,
  )
  return asked
}
const minuteAgo = () => new Date(Date.now() - 60_000)
const sleep = (asked: WorkspaceIntent) => workspaces.hibernate(keyOf(asked), minuteAgo(), fence)

test('an idle agent goes to sleep, once', async () => {
  const asked = await idle()
  expect(await sleep(asked)).toMatchObject({ status: 'hibernating' })
  expect(await sleep(asked)).toMatchObject({ status: 'hibernating' })
})

test.each<[string, (asked: WorkspaceIntent) => Promise<unknown>, Partial<WorkspaceIntent>?]>([
  ['has a task', ({ id }) => sql('UPDATE workspaces SET active_tasks = 1 WHERE id = $1', id)],
  ['spoke of a task', ({ id }) => agents.heartbeat(beatOf(id, { activeTasks: 1 }))],
  [
    'had a task until just now',
    async ({ id }) => {
      await agents.heartbeat(beatOf(id, { activeTasks: 1 }))
      await sql(`UPDATE workspaces SET last_task_at = now() - interval '1 hour' WHERE id = $1`, id)
      await agents.heartbeat(beatOf(id))
    },
  ],
  ['was spoken to', ({ id }) => agents.beginMessage(id)],
  ['answered at length', async (asked) => message(await idle(), asked)],
  ['spoke', async (asked) => message(asked, await idle())],
  ['came to register again', ({ id }) => register(id)],
  ['came to register at all', ({ id }) => sql('UPDATE workspaces SET registered_at = now() WHERE id = $1', id)],
])('one that %s does not', async (_, happens) => {
  const asked = await idle()
  await happens(asked)
  expect(await sleep(asked)).toMatchObject({ status: 'online' })
  await sql(
    `UPDATE workspaces SET active_tasks = 0, registered_at = now() - interval '1 hour',
       last_task_at = now() - interval '1 hour', last_traffic_at = now() - interval '1 hour' WHERE id = $1`,
    asked.id,
  )
  expect(await sleep(asked)).toMatchObject({ status: 'hibernating' })
})

test('a beat without a task keeps nobody awake', async () => {
  const asked = await idle()
  await agents.heartbeat(beatOf(asked.id))
  expect(await sleep(asked)).toMatchObject({ status: 'hibernating' })
})

test('only who is there can go to sleep', async () => {
  const asleep: Phase[] = ['degraded', 'hibernating', 'online']
  const phases: Phase[] = [...asleep, 'provisioning', 'offline', 'failed', 'paused', 'hibernated', 'awaiting_agent']
  for (const phase of phases) {
    const asked = await idle()
    await put(asked.id, phase)
    expect((await sleep(asked)).status, phase).toBe(asleep.includes(phase) ? 'hibernating' : phase)
  }
})

test.each([
  ['message', ({ id }: WorkspaceIntent) => replica.store.agents.beginMessage(id)],
  ['task', ({ id }: WorkspaceIntent) => replica.store.agents.heartbeat(beatOf(id, { activeTasks: 1 }))],
])(
  'a %s in the same instant wins, or wakes: many rounds',
  async (_, speak) => {
    const seen = { delivered: 0, woken: 0 }
    async function both(asked: WorkspaceIntent, head: number) {
      if (head === Infinity) {
        const row = await sleep(asked)
        return [row, await speak(asked)] as const
      }
      if (head === -Infinity) {
        const spoken = await speak(asked)
        return [await sleep(asked), spoken] as const
      }
      return await Promise.all([
        wait(Math.max(0, -head)).then(() => sleep(asked)),
        wait(Math.max(0, head)).then(() => speak(asked)),
      ])
    }
    async function round(asked: WorkspaceIntent, head: number): Promise<void> {
      const [row, spoken] = await both(asked, head)
      const after = await rowAgain(asked)
      if (spoken?.status === 'online') {
        seen.delivered++
        expect([row.status, after.status]).toEqual(['online', 'online'])
      } else {
        seen.woken++
        expect([row.status, after.status]).toEqual(['hibernating', 'hibernating'])
        expect(after.wakeRequestedAt).toBeInstanceOf(Date)
      }
    }
    // Now one first, now the other, mostly at once: by milliseconds, up to the longest that a batch waits. Infinitely: when
    // the other was answered, so that both ends are seen whatever the machine makes of milliseconds.
    const near = [0, 1, -1, 2, -2, 5, -5, 40, -300]
    for (const head of [Infinity, -Infinity, ...near, ...near, ...near]) {
      const all = await Promise.all(Array.from({ length: 20 }, idle))
      await Promise.all(all.map((asked) => round(asked, head)))
    }
    console.log(`  ${JSON.stringify(seen)}`)
    expect(seen.delivered + seen.woken).toBe(580)
    expect(Math.min(seen.delivered, seen.woken)).toBeGreaterThanOrEqual(20)
  },
  240_000,
)

test('whoever holds the row first decides: the message', async () => {
  const asked = await idle()
  await sql('BEGIN')
  await sql('UPDATE workspaces SET last_traffic_at = now() WHERE id = $1', asked.id)
  const sleeping = sleep(asked)
  await someoneWaits(other.sql)
  await sql('COMMIT')
  expect(await sleeping).toMatchObject({ status: 'online' })
})

test('whoever holds the row first decides: the sleep', async () => {
  const asked = await idle()
  await sql('BEGIN')
  await sql(`UPDATE workspaces SET status = 'hibernating' WHERE id = $1`, asked.id)
  const speaking = replica.store.agents.beginMessage(asked.id)
  await someoneWaits(other.sql)
  await sql('COMMIT')
  expect(await speaking).toMatchObject({ status: 'hibernating' })
  expect((await rowAgain(asked)).wakeRequestedAt).toBeInstanceOf(Date)
})

test('a sleeping agent is asked to wake once, and the controller hears of it', async () => {
  const abort = new AbortController()
  const heard: string[] = []
  const listening = (async () => {
    for await (const { resourceName } of replica.store.workspaces.changes(abort.signal)) heard.push(resourceName)
  })()
  const early = await idle()
  await until(async () => {
    // Until LISTEN is in force nothing can be heard.
    await sql(`UPDATE workspaces SET status = 'hibernated', wake_requested_at = NULL WHERE id = $1`, early.id)
    await agents.beginMessage(early.id)
    return heard.length > 0
  })
  const [awake, asked, last] = [await idle(), await idle(), await idle()]
  // What their registrations said.
  await until(() => [awake, asked, last].every(({ resourceName }) => heard.includes(resourceName)))
  heard.length = 0
  await put(asked.id, 'hibernated')
  await agents.beginMessage(awake.id)
  expect(await agents.beginMessage(asked.id)).toMatchObject({ id: asked.id, status: 'hibernated' })
  const first = (await rowAgain(asked)).wakeRequestedAt
  expect(first).toBeInstanceOf(Date)
  await agents.beginMessage(asked.id)
  expect((await rowAgain(asked)).wakeRequestedAt).toEqual(first)
  // They come in the order of their commits: nothing before this one is still to be heard.
  await put(last.id, 'hibernated')
  await agents.beginMessage(last.id)
  await until(() => heard.includes(last.resourceName))
  expect(heard.filter((name) => name === asked.resourceName)).toHaveLength(1)
  expect(heard).not.toContain(awake.resourceName)
  abort.abort()
  await listening
})

test('a message to one that is paused wakes nobody and says why', async () => {
  const asked = await idle()
  const change = { from: ['online'] as const, to: 'paused' as const, event: 'WORKSPACE_PAUSED' }
  await workspaces.change({ ...change, ...keyOf(asked), reason: 'AncestorPaused' }, fence)
  expect(await agents.beginMessage(asked.id)).toMatchObject({ status: 'paused', reason: 'AncestorPaused' })
  expect((await rowAgain(asked)).wakeRequestedAt).toBeUndefined()
  expect(await agents.beginMessage(intent().id)).toBeUndefined()
})

test('while it goes to sleep, a task calls it back; neither beat nor register wakes it', async () => {
  const asked = await idle()
  await sleep(asked)
  expect(await agents.heartbeat(beatOf(asked.id))).toEqual({ status: 'hibernating' })
  expect((await rowAgain(asked)).wakeRequestedAt).toBeUndefined()
  expect(await register(asked.id)).toEqual({ status: 'hibernating' })
  expect(await agents.heartbeat(beatOf(asked.id, { activeTasks: 1 }))).toEqual({ status: 'hibernating' })
  expect((await rowAgain(asked)).wakeRequestedAt).toBeInstanceOf(Date)
})

test('asleep, paused or failed, it is launched again; that clears the wish and counts', async () => {
  for (const from of ['hibernated', 'hibernating', 'paused', 'failed', 'offline'] as const) {
    const asked = await idle()
    expect(await rowAgain(asked)).toMatchObject({ restarts: 0, wakeRequestedAt: undefined })
    await sql(
      'UPDATE workspaces SET status = $2, wake_requested_at = now(), busy_since = now() WHERE id = $1',
      asked.id,
      from,
    )
    const launch = launchOf(asked)
    for (let twice = 0; twice < 2; twice++)
      expect(await workspaces.launch(launch, fence), from).toMatchObject({
        status: 'provisioning',
        restarts: 1,
        wakeRequestedAt: undefined,
        busySince: undefined,
        registeredAt: undefined,
      })
  }
})

test('what runs no more has neither address nor tasks; what runs elsewhere keeps its address', async () => {
  for (const [backend, address] of [
    ['process', ''],
    ['external', 'https://agent.test/'],
  ] as const) {
    const asked = intent({ backend })
    await workspaces.record(asked, fence)
    await sql(
      `UPDATE workspaces SET status = 'hibernating', url = 'https://agent.test/', active_tasks = 2, busy_since = now(),
         current_task = 'x' WHERE id = $1`,
      asked.id,
    )
    const change = {
      ...keyOf(asked),
      from: ['hibernating'] as const,
      to: 'hibernated' as const,
      event: 'WORKSPACE_HIBERNATED',
    }
    expect(await workspaces.change({ ...change, reason: 'Idle' }, fence)).toMatchObject({
      url: address,
      activeTasks: 0,
      busySince: undefined,
      currentTask: undefined,
    })
    expect((await eventsOf(sql, asked.id)).at(-1)).toBe('WORKSPACE_HIBERNATED')
  }
})

test('since when it is busy', async () => {
  const asked = await idle()
  await agents.heartbeat(beatOf(asked.id, { activeTasks: 1 }))
  const { busySince } = await rowAgain(asked)
  expect(busySince).toBeInstanceOf(Date)
  await agents.heartbeat(beatOf(asked.id, { activeTasks: 2 }))
  expect(await rowAgain(asked)).toMatchObject({ busySince, activeTasks: 2 })
  await agents.heartbeat(beatOf(asked.id))
  expect(await rowAgain(asked)).toMatchObject({ busySince: undefined, activeTasks: 0 })
})

test('no index hears of beats and messages', async () => {
  const told =
    'last_heartbeat_at last_error_rate last_sample_error active_tasks uptime_seconds current_task monthly_spend'
  const lived = 'last_task_at busy_since last_traffic_at last_outbound_at wake_requested_at'
  const defined = await sql(`SELECT indexdef FROM pg_indexes WHERE tablename = 'workspaces'`)
  expect(defined.length).toBeGreaterThan(5)
  for (const column of `${told} ${lived}`.split(' '))
    expect(defined.map((row) => row['indexdef']).join('\n')).not.toContain(column)
})
