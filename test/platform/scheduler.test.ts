/** Schedules against real rows and agents on loopback: what is delivered, how often, and what is said of it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, expect, test, vi } from 'vitest'
import { milliseconds, seconds } from '../../src/duration.ts'
import { Fenced } from '../../src/errors.ts'
import type { Fence } from '../../src/fence.ts'
import { addressRule, resolveByDns } from '../../src/outbound.ts'
import { createForward } from '../../src/platform/forward.ts'
import { createPrompts } from '../../src/platform/prompt.ts'
import type { WorkspaceId } from '../../src/store/workspace-store.ts'
import { scheduler, type SchedulerOptions } from '../../src/sweepers/scheduler.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'
import { startPrompted } from './prompted.ts'
import { openRegistry, type Member } from './registry.ts'

const agent = await startPrompted()
const { heard, manners, count } = agent
const registry = await openRegistry(await database())
const { store, metrics, log, fence } = registry
const sql: typeof registry.sql = (text, values) => registry.sql(text, values)
const { agents, schedules } = store
const forward = createForward(addressRule('self-hosted'), resolveByDns)
const running: (() => Promise<void>)[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((stop) => stop()))
})
afterAll(async () => {
  await forward.close()
  agent.stop()
  await registry.close()
})

function start(more: Partial<SchedulerOptions> = {}) {
  const abort = new AbortController()
  const { limits, ...rest } = more
  const sweeper = scheduler({
    schedules,
    deliver: createPrompts({ agents, forward }),
    wake: (id) => agents.beginMessage(id),
    fence,
    log,
    metrics,
    every: milliseconds(40),
    limits: { spread: milliseconds(0), ...limits },
    ...rest,
  })
  const ended = sweeper.start(abort.signal)
  ended.catch(() => undefined)
  const stop = async () => {
    abort.abort()
    await ended.catch(() => undefined)
  }
  running.push(stop)
  return { stop, ended }
}

let paths = 0
const online = async (): Promise<Member & { path: string }> => {
  const path = `/${++paths}`
  return { ...(await registry.online(`${agent.url.slice(0, -1)}${path}`)), path }
}
async function schedule(id: WorkspaceId, next = 'now()', cron = '* * * * *', name = 'daily'): Promise<string> {
  const [row] = await sql(
    `INSERT INTO workspace_schedules (workspace_id, name, cron_expr, prompt, next_run_at)
     VALUES ($1, $2, $3, 'Go on.', ${next}) RETURNING id`,
    [id, name, cron],
  )
  return String(row?.['id'])
}
const runs = (id: string) =>
  sql(
    'SELECT id, status, detail, attempts, due_at FROM workspace_schedule_runs WHERE schedule_id = $1 ORDER BY due_at',
    [id],
  )
const ended = (id: string, count = 1) =>
  until(async () => {
    const found = await runs(id)
    return found.filter(({ status }) => status !== 'waiting' && status !== 'delivering').length >= count
      ? found
      : undefined
  })
const received = (path: string) => heard.filter((each) => each.path === path)
const rare = '0 0 1 1 *'

test('a due schedule delivers its prompt once, and says so', async () => {
  const member = await online()
  const id = await schedule(member.id, `now() - interval '1 second'`, rare)
  const { stop } = start()
  const [run] = await ended(id)
  expect(run).toMatchObject({ status: 'ok', attempts: 1 })
  expect(received(member.path)).toEqual([{ path: member.path, id: run?.['id'], text: 'Go on.' }])
  expect(
    await sql('SELECT event_type FROM structure_events WHERE workspace_id = $1 AND event_type LIKE $2', [
      member.id,
      'CRON%',
    ]),
  ).toEqual([{ event_type: 'CRON_EXECUTED' }])
  expect(
    await sql(`SELECT status FROM activity_logs WHERE workspace_id = $1 AND activity_type = 'cron_run'`, [member.id]),
  ).toEqual([{ status: 'ok' }])
  const [row] = await sql('SELECT next_run_at::text AS next, run_count FROM workspace_schedules WHERE id = $1', [id])
  expect(row).toEqual({ run_count: 1, next: expect.stringContaining('-01-01 00:00:00') as string })
  await stop()
})

test('after an hour away: one run is made up for, not sixty', async () => {
  const member = await online()
  const id = await schedule(member.id, `date_trunc('minute', now()) - interval '1 hour'`)
  const { stop } = start()
  await ended(id)
  await until(
    async () => (await sql('SELECT 1 FROM workspace_schedules WHERE id = $1 AND next_run_at > now()', [id]))[0],
  )
  await stop()
  expect(await runs(id)).toHaveLength(1)
  expect(received(member.path)).toHaveLength(1)
})

test('a run that was claimed before a crash, and the hour after it: one prompt', async () => {
  const member = await online()
  const id = await schedule(member.id, `date_trunc('minute', now()) - interval '1 hour'`)
  const due = (await schedules.due(500)).find((each) => each.id === id)
  const next = new Date(Date.now() - 3_000_000)
  await schedules.advance({ scheduleId: id, seen: due?.seen, next, runAfter: milliseconds(0), fault: undefined }, fence)
  expect(await runs(id)).toMatchObject([{ status: 'waiting' }])
  const { stop } = start()
  await ended(id, 2)
  await stop()
  expect((await runs(id)).map(({ status }) => status)).toEqual(['ok', 'skipped'])
  expect(received(member.path)).toHaveLength(1)
})

test('killed after the delivery, before its end was recorded: the same prompt under the same id', async () => {
  const member = await online()
  const id = await schedule(member.id, 'now()', rare)
  const broken = { ...schedules, finish: () => Promise.reject(new Error('killed')) }
  const first = start({ schedules: broken })
  await until(() => received(member.path).length === 1)
  await first.stop()
  expect(await runs(id)).toMatchObject([{ status: 'delivering' }])
  const second = start()
  const [run] = await ended(id)
  await second.stop()
  expect(run).toMatchObject({ status: 'ok', attempts: 2 })
  expect(new Set(received(member.path).map((each) => each.id))).toEqual(new Set([run?.['id']]))
})

test('a look at the runs that is out of date delivers nothing again', async () => {
  const member = await online()
  const id = await schedule(member.id, 'now()', rare)
  let seen: Awaited<ReturnType<typeof schedules.open>> = []
  const looks = {
    ...schedules,
    open: async (limit: number) => (seen.length > 0 ? seen : (seen = await schedules.open(limit))),
  }
  const { stop } = start({ schedules: looks })
  await ended(id)
  await sleep(200)
  await stop()
  expect(await runs(id)).toMatchObject([{ status: 'ok', attempts: 1 }])
  expect(received(member.path)).toHaveLength(1)
})

test('while the database is away, what was delivered is not delivered again', async () => {
  const member = await online()
  const id = await schedule(member.id, 'now()', rare)
  let away = 5
  const shaky = {
    ...schedules,
    finish: (...end: Parameters<typeof schedules.finish>) =>
      away-- > 0 ? Promise.reject(new Error('away')) : schedules.finish(...end),
  }
  const { stop } = start({ schedules: shaky })
  expect(await ended(id)).toMatchObject([{ status: 'ok', attempts: 1 }])
  await stop()
  expect(received(member.path)).toHaveLength(1)
})

test('two that both believe to lead: one prompt each, and the older one stops', async ({ onTestFinished }) => {
  // The tests after this one lead again.
  onTestFinished(async () => void Object.assign(fence, { epoch: await store.leaders.begin('test', 'test') }))
  const members = await Promise.all(Array.from({ length: 5 }, online))
  const old: Fence = { epoch: fence.epoch, check: () => undefined }
  const first = start({ fence: old })
  const young: Fence = { epoch: await store.leaders.begin('test', 'other'), check: () => undefined }
  // Each process has batches of its own: two leaders never meet in one statement.
  const other = registry.another()
  const second = start({ fence: young, schedules: other.schedules })
  const ids = await Promise.all(members.map(({ id }) => schedule(id, 'now()', rare)))
  for (const id of ids) expect(await ended(id)).toMatchObject([{ status: 'ok', attempts: 1 }])
  for (const { path } of members) expect(received(path)).toHaveLength(1)
  await Promise.all([first.stop(), second.stop()])
  await other.close()
  await expect(schedules.begin(ids[0] ?? '', old)).rejects.toThrow(Fenced)
})

test('a busy agent is waited for, then the run is given up; a free one gets it at once', async () => {
  const member = await online()
  await sql('UPDATE workspaces SET active_tasks = 1 WHERE id = $1', [member.id])
  const id = await schedule(member.id, 'now()', rare)
  const { stop } = start()
  await until(async () => (await runs(id)).length === 1)
  await sleep(200)
  expect(await runs(id)).toMatchObject([{ status: 'waiting' }])
  await sql(`UPDATE workspace_schedule_runs SET fire_at = now() - interval '2 minutes' WHERE schedule_id = $1`, [id])
  expect(await ended(id)).toMatchObject([{ status: 'skipped', detail: 'the agent was busy for 2m' }])
  const other = await schedule(member.id, 'now()', rare, 'other')
  await sql('UPDATE workspaces SET active_tasks = 0 WHERE id = $1', [member.id])
  expect(await ended(other)).toMatchObject([{ status: 'ok' }])
  await stop()
  expect(received(member.path)).toHaveLength(1)
})

test('a sleeping agent is asked to wake, and gets it once it is there', async () => {
  const member = await online()
  await registry.setStatus(member.id, 'hibernated')
  const id = await schedule(member.id, 'now()', rare)
  const { stop } = start()
  await until(async () => (await registry.row(member.id))['wake_requested_at'] !== null)
  expect(received(member.path)).toEqual([])
  await registry.setStatus(member.id, 'provisioning')
  await sleep(100)
  expect(received(member.path)).toEqual([])
  await registry.setStatus(member.id, 'online')
  expect(await ended(id)).toMatchObject([{ status: 'ok' }])
  await stop()
})

test('paused and removed: skipped, with the reason', async () => {
  const [paused, removed] = [await online(), await online()]
  await registry.setStatus(paused.id, 'paused')
  await registry.setStatus(removed.id, 'removed')
  const ids = [await schedule(paused.id, 'now()', rare), await schedule(removed.id, 'now()', rare)]
  const { stop } = start()
  expect(await ended(ids[0] ?? '')).toMatchObject([{ status: 'skipped', detail: 'the workspace is paused' }])
  expect(await ended(ids[1] ?? '')).toMatchObject([{ status: 'skipped', detail: 'the workspace is removed' }])
  await stop()
  expect([...received(paused.path), ...received(removed.path)]).toEqual([])
})

test('an agent that polls finds the prompt, once', async () => {
  const member = await registry.online('', { deliveryMode: 'poll' })
  const id = await schedule(member.id, 'now()', rare)
  const broken = { ...schedules, finish: () => Promise.reject(new Error('killed')) }
  const first = start({ schedules: broken })
  const queued = () =>
    sql(`SELECT id, request_body FROM activity_logs WHERE workspace_id = $1 AND status = 'queued'`, [member.id])
  await until(async () => (await queued()).length === 1)
  await first.stop()
  const second = start()
  const [run] = await ended(id)
  await second.stop()
  expect(run).toMatchObject({ status: 'ok', attempts: 2 })
  expect(await queued()).toMatchObject([
    { id: run?.['id'], request_body: { method: 'message/send', params: { message: { messageId: run?.['id'] } } } },
  ])
})

test('what agents answer: an error is the end, a broken connection is another try', async () => {
  const [refusing, failing, breaking] = [await online(), await online(), await online()]
  manners[refusing.path] = () => ({ status: 200, body: { error: { code: -1, message: 'no\u0000\n way' } } })
  manners[failing.path] = () => ({ status: 500, body: {} })
  let left = 2
  manners[breaking.path] = () => (left-- > 0 ? 'break' : { status: 200, body: { result: {} } })
  const ids = await Promise.all([refusing, failing, breaking].map(({ id }) => schedule(id, 'now()', rare)))
  const { stop } = start()
  expect(await ended(ids[0] ?? '')).toMatchObject([
    { status: 'error', detail: 'the agent answered with an error: no way' },
  ])
  expect(await ended(ids[1] ?? '')).toMatchObject([{ status: 'error', detail: 'the agent answered 500' }])
  expect(await ended(ids[2] ?? '')).toMatchObject([{ status: 'ok', attempts: 3 }])
  await stop()
  expect(new Set(received(breaking.path).map(({ id }) => id)).size).toBe(1)
})

test('one that never answers is given up, and none that is broken for ever is tried for ever', async () => {
  const [hanging, breaking] = [await online(), await online()]
  manners[hanging.path] = () => 'hang'
  manners[breaking.path] = () => 'break'
  const ids = await Promise.all([hanging, breaking].map(({ id }) => schedule(id, 'now()', rare)))
  const { stop } = start({ limits: { delivery: milliseconds(300) } })
  expect(await ended(ids[0] ?? '')).toMatchObject([{ status: 'error', detail: 'the agent did not answer in time' }])
  expect(await ended(ids[1] ?? '')).toMatchObject([{ status: 'error', attempts: 8 }])
  await stop()
  expect(received(hanging.path)).toHaveLength(1)
})

test('thirty at the same minute: all of them, and no more at once than allowed', async () => {
  const members = await Promise.all(Array.from({ length: 30 }, online))
  count.mostAtOnce = 0
  const ids = await Promise.all(members.map(({ id }) => schedule(id, 'now()', rare)))
  // Fewer than connections to one host, which are bounded by themselves.
  const { stop } = start({ every: seconds(1), limits: { deliveries: 3 } })
  for (const id of ids) expect(await ended(id)).toMatchObject([{ status: 'ok' }])
  await stop()
  expect(count.mostAtOnce).toBeGreaterThan(1)
  expect(count.mostAtOnce).toBeLessThanOrEqual(3)
})

test('what is due at the same minute is begun at places of its own within a few seconds', async () => {
  const members = await Promise.all(Array.from({ length: 8 }, online))
  await Promise.all(members.map(({ id }) => schedule(id, 'now()', rare)))
  const { stop } = start({ limits: { spread: seconds(5) } })
  const delays = await until(async () => {
    const found = await sql(
      `SELECT date_part('epoch', fire_at - claimed_at) AS delay FROM workspace_schedule_runs WHERE workspace_id = ANY($1)`,
      [members.map(({ id }) => id)],
    )
    return found.length === 8 ? found.map(({ delay }) => Number(delay)) : undefined
  })
  await stop()
  expect(new Set(delays).size).toBe(8)
  for (const delay of delays) expect(delay).toBeLessThan(5)
})

test('neither a schedule that cannot be read nor a question without an answer holds up the others', async () => {
  const [bad, good] = [await online(), await online()]
  const wrong = await schedule(bad.id, 'now()', '99 * * * *')
  let stuck = 1
  const slow = {
    ...schedules,
    due: (limit: number) => (stuck-- > 0 ? new Promise<never>(() => {}) : schedules.due(limit)),
  }
  const id = await schedule(good.id, 'now()', rare)
  const { stop } = start({ schedules: slow, limits: { statement: milliseconds(100) } })
  expect(await ended(id)).toMatchObject([{ status: 'ok' }])
  await stop()
  expect(await sql('SELECT last_error FROM workspace_schedules WHERE id = $1', [wrong])).toEqual([
    { last_error: expect.stringContaining('99') as string },
  ])
})

test.each([-3_600_000, 3_600_000])(
  'the clock of the machine steps by %i ms: nothing is run twice or left out',
  async (step) => {
    const member = await online()
    const id = await schedule(member.id, 'now()', rare)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + step })
    const { stop } = start()
    try {
      expect(await ended(id)).toMatchObject([{ status: 'ok' }])
      const [row] = await sql('SELECT next_run_at > now() AS later FROM workspace_schedules WHERE id = $1', [id])
      expect(row).toEqual({ later: true })
    } finally {
      vi.useRealTimers()
      await stop()
    }
    expect(received(member.path)).toHaveLength(1)
  },
)

test('the clock of the database was set back by an hour: what was run is not run again, what comes is', async () => {
  const member = await online()
  const id = await schedule(member.id, `date_trunc('minute', now()) - interval '1 minute'`)
  const first = start()
  await ended(id)
  await first.stop()
  // As if everything had been reckoned an hour later than it is now.
  await sql(
    `UPDATE workspace_schedules SET next_run_at = next_run_at + interval '1 hour', reckoned_from = now() + interval '1 hour'
     WHERE id = $1`,
    [id],
  )
  const second = start()
  await until(async () => {
    const [row] = await sql(
      `SELECT next_run_at <= now() + interval '1 minute' AS soon FROM workspace_schedules WHERE id = $1`,
      [id],
    )
    return row?.['soon'] === true
  })
  await second.stop()
  expect(received(member.path).length).toBeLessThanOrEqual(2)
  expect(new Set(received(member.path).map((each) => each.id)).size).toBe(received(member.path).length)
})

test('told to stop in the middle of a delivery: it stops, and the run is left to the next leader', async () => {
  const member = await online()
  manners[member.path] = () => 'hang'
  const id = await schedule(member.id, 'now()', rare)
  const first = start()
  await until(() => received(member.path).length === 1)
  await first.stop()
  expect(await runs(id)).toMatchObject([{ status: 'delivering' }])
  delete manners[member.path]
  const second = start()
  expect(await ended(id)).toMatchObject([{ status: 'ok', attempts: 2 }])
  await second.stop()
})
