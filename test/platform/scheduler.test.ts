/** What is delivered, how often, and what is said of it: through crashes, failovers and an absent database. */
import { expect, test } from 'vitest'
import { milliseconds } from '../../src/duration.ts'
import { Fenced } from '../../src/errors.ts'
import type { Fence } from '../../src/fence.ts'
import { until } from '../support/until.ts'
import { openScheduling, rare } from './scheduling.ts'

const { agent, registry, sql, start, online, schedule, missed, runs, ended, received } = await openScheduling()
const { manners } = agent
const { store, fence } = registry
const { schedules } = store
/** The next epoch. The end of the one before may keep its row for a moment. */
const lead = (holder: string) => until(() => store.leaders.begin('test', holder))

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
  const id = await missed(member.id)
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
  const id = await missed(member.id)
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
  let count = 0
  const looks = {
    ...schedules,
    async open(limit: number) {
      if (seen.length > 0) count++
      else seen = (await schedules.open(limit)).filter(({ workspaceId }) => workspaceId === member.id)
      return seen
    },
  }
  const { stop } = start({ schedules: looks })
  await ended(id)
  const before = count
  await until(() => count > before + 4)
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
  onTestFinished(async () => void Object.assign(fence, { epoch: await lead('test') }))
  const members = await Promise.all(Array.from({ length: 5 }, () => online()))
  const old: Fence = { epoch: fence.epoch, check: () => undefined }
  const first = start({ fence: old })
  const young: Fence = { epoch: await lead('other'), check: () => undefined }
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
