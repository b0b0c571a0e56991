import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { milliseconds } from '../../src/duration.ts'
import { Fenced } from '../../src/errors.ts'
import { dueNow } from '../../src/store/postgres/schedules.ts'
import type { DueSchedule } from '../../src/store/schedule-store.ts'
import type { WorkspaceIntent } from '../../src/store/workspace-store.ts'
import { database } from '../support/database.ts'
import { beatOf, eventsOf, fenceOf, given, intent, lease, rowOf } from './given.ts'

const { store, sql } = given(await database())
const fence = fenceOf(await store.leaders.begin(lease, 'test'))
const { workspaces, schedules } = store

const past = `now() - interval '1 minute'`

/** A schedule of a workspace of its own; `next` is SQL. */
async function scheduled(
  next = 'NULL',
  more: Partial<WorkspaceIntent> = {},
): Promise<{ id: string; ws: WorkspaceIntent }> {
  const ws = intent(more)
  rowOf(await workspaces.record(ws, fence))
  const [row] = await sql(
    `INSERT INTO workspace_schedules (workspace_id, name, cron_expr, prompt, next_run_at)
     VALUES ($1, 'daily', '* * * * *', 'Go.', ${next}) RETURNING id`,
    ws.id,
  )
  return { id: String(row?.['id']), ws }
}
const dueOf = async (id: string): Promise<DueSchedule | undefined> =>
  (await schedules.due(500)).find((schedule) => schedule.id === id)
const openOf = async (ws: WorkspaceIntent) => (await schedules.open(500)).filter((run) => run.workspaceId === ws.id)
const runsOf = (id: string) =>
  sql('SELECT status, detail, due_at, attempts FROM workspace_schedule_runs WHERE schedule_id = $1 ORDER BY due_at', id)
const nextOf = async (id: string) =>
  (await sql('SELECT next_run_at FROM workspace_schedules WHERE id = $1', id))[0]?.['next_run_at']

const tomorrow = new Date(Date.now() + 86_400_000)
const advance = ({ id, seen, due }: DueSchedule, next: Date | 'never' = tomorrow, by = fence) =>
  schedules.advance({ scheduleId: id, seen, next, runAfter: due ? milliseconds(0) : undefined, fault: undefined }, by)
async function claimed(next = past, more: Partial<WorkspaceIntent> = {}) {
  const { id, ws } = await scheduled(next, more)
  const due = await dueOf(id)
  if (due === undefined) throw new Error('not due')
  await advance(due)
  const [run] = await openOf(ws)
  if (run === undefined) throw new Error('no run')
  return { id, ws, due, run }
}

test('only what is due is read, and what was never reckoned', async () => {
  const [due, future, fresh] = [await scheduled(past), await scheduled(`now() + interval '1 hour'`), await scheduled()]
  const off = await scheduled(past)
  await sql('UPDATE workspace_schedules SET enabled = false WHERE id = $1', off.id)
  expect(await dueOf(due.id)).toMatchObject({ due: true, cron: '* * * * *', timezone: 'UTC' })
  expect(await dueOf(fresh.id)).toMatchObject({ due: false, seen: undefined })
  expect(await dueOf(future.id)).toBeUndefined()
  expect(await dueOf(off.id)).toBeUndefined()
})

test('what is due is claimed once: the same claim again, and one made beside it, claim nothing', async () => {
  const { id, ws } = await scheduled(past)
  const due = await dueOf(id)
  if (due === undefined) throw new Error('not due')
  await Promise.all([advance(due), advance(due)])
  await advance(due, new Date(0))
  expect(await nextOf(id)).toEqual(tomorrow)
  expect(await runsOf(id)).toMatchObject([{ status: 'waiting', attempts: 0 }])
  expect(await openOf(ws)).toMatchObject([{ schedule: 'daily', phase: 'provisioning', waking: false, attempts: 0 }])
})

test('a due time that was run is not run again, whatever the clock says', async () => {
  const { id, ws, due, run } = await claimed()
  await schedules.finish({ runId: run.id, outcome: 'ok', detail: undefined }, fence)
  // As after a clock that was set back: the same time comes again.
  await sql('UPDATE workspace_schedules SET next_run_at = $2::timestamptz WHERE id = $1', id, due.seen)
  const again = await dueOf(id)
  if (again === undefined) throw new Error('not due')
  expect(again.seen).toBe(due.seen)
  await advance(again)
  expect(await runsOf(id)).toHaveLength(1)
  expect(await openOf(ws)).toEqual([])
})

test('a clock that was set back: what was reckoned in its future is reckoned anew, and runs nothing', async () => {
  const { id } = await scheduled(`now() + interval '1 year'`)
  await sql(`UPDATE workspace_schedules SET reckoned_from = now() + interval '1 hour' WHERE id = $1`, id)
  const found = await dueOf(id)
  expect(found).toMatchObject({ due: false })
  if (found === undefined) return
  // From now on, not from that future; this process and the database need not agree to the second.
  expect(found.from.getTime()).toBeLessThan(Date.now() + 60_000)
  await advance(found)
  expect(await nextOf(id)).toEqual(tomorrow)
  expect(await dueOf(id)).toBeUndefined()
  expect(await runsOf(id)).toEqual([])
})

test('what comes due while a run is open is skipped, with its event', async () => {
  const { id, ws } = await claimed(`now() - interval '2 minutes'`)
  await sql(`UPDATE workspace_schedules SET next_run_at = now() - interval '1 minute' WHERE id = $1`, id)
  const second = await dueOf(id)
  if (second === undefined) throw new Error('not due')
  expect(await advance(second)).toBe(true)
  expect(await runsOf(id)).toMatchObject([
    { status: 'waiting' },
    { status: 'skipped', detail: 'the run before it has not ended' },
  ])
  expect(await eventsOf(sql, ws.id)).toContain('CRON_SKIPPED')
  const logged = await sql('SELECT activity_type, status FROM activity_logs WHERE workspace_id = $1', ws.id)
  expect(logged).toEqual([{ activity_type: 'cron_run', status: 'skipped' }])
  expect(await openOf(ws)).toHaveLength(1)
})

test.each([
  ['online', 0],
  ['degraded', 0],
  ['hibernated', 1],
  ['offline', 1],
  ['provisioning', 1],
])('of an agent that runs its schedules itself and is %s, %i runs are ours', async (phase, runs) => {
  const { id, ws } = await scheduled(past)
  await store.agents.heartbeat(beatOf(ws.id, { ownsSchedules: true }))
  await sql('UPDATE workspaces SET status = $2 WHERE id = $1', ws.id, phase)
  const due = await dueOf(id)
  if (due === undefined) throw new Error('not due')
  expect(await advance(due)).toBe(false)
  expect(await runsOf(id)).toHaveLength(runs)
  expect(await nextOf(id)).toEqual(tomorrow)
})

test('an agent that no longer says so has its schedules run again', async () => {
  const { id, ws } = await scheduled(past)
  for (const ownsSchedules of [true, false]) await store.agents.heartbeat(beatOf(ws.id, { ownsSchedules }))
  const due = await dueOf(id)
  if (due === undefined) throw new Error('not due')
  await advance(due)
  expect(await runsOf(id)).toHaveLength(1)
})

test('a run ends once, with one event, one activity row, and the schedule’s own account', async () => {
  const { id, ws, run } = await claimed()
  expect(await schedules.begin(run.id, fence)).toBe('Go.')
  await sql(`UPDATE workspace_schedules SET prompt = 'Go on.' WHERE id = $1`, id)
  expect(await schedules.begin(run.id, fence)).toBe('Go on.')
  expect(await runsOf(id)).toMatchObject([{ status: 'delivering', attempts: 2 }])
  const end = { runId: run.id, outcome: 'error' as const, detail: 'no word' }
  for (let twice = 0; twice < 2; twice++) await schedules.finish(end, fence)
  expect(await schedules.begin(run.id, fence)).toBeUndefined()
  expect((await eventsOf(sql, ws.id)).filter((event) => event === 'CRON_EXECUTED')).toHaveLength(1)
  expect(await sql('SELECT status, error_detail, summary FROM activity_logs WHERE workspace_id = $1', ws.id)).toEqual([
    { status: 'error', error_detail: 'no word', summary: 'schedule daily' },
  ])
  expect(await sql('SELECT last_status, last_error, run_count FROM workspace_schedules WHERE id = $1', id)).toEqual([
    { last_status: 'error', last_error: 'no word', run_count: 1 },
  ])
})

test('a skip is no run', async () => {
  const { id, ws, run } = await claimed()
  await schedules.finish({ runId: run.id, outcome: 'skipped', detail: 'paused' }, fence)
  expect(await eventsOf(sql, ws.id)).toContain('CRON_SKIPPED')
  expect(await sql('SELECT last_status, run_count, last_run_at FROM workspace_schedules WHERE id = $1', id)).toEqual([
    { last_status: 'skipped', run_count: 0, last_run_at: null },
  ])
})

test('the id of a run is that of its schedule and due time', async () => {
  const { id, due, run } = await claimed()
  await sql('DELETE FROM workspace_schedule_runs WHERE id = $1', run.id)
  await sql('UPDATE workspace_schedules SET next_run_at = $2::timestamptz WHERE id = $1', id, due.seen)
  const again = await dueOf(id)
  if (again === undefined) throw new Error('not due')
  await advance(again)
  expect((await runsOf(id)).length).toBe(1)
  expect(await sql('SELECT id FROM workspace_schedule_runs WHERE schedule_id = $1', id)).toEqual([{ id: run.id }])
})

test('a schedule that cannot be read says why, and is asked no more', async () => {
  const { id } = await scheduled()
  const fault = 'cron "99": no'
  await schedules.advance({ scheduleId: id, seen: undefined, next: 'never', runAfter: undefined, fault }, fence)
  expect(await dueOf(id)).toBeUndefined()
  expect(await sql('SELECT last_status, last_error, next_run_at FROM workspace_schedules WHERE id = $1', id)).toEqual([
    { last_status: 'invalid', last_error: fault, next_run_at: Number.POSITIVE_INFINITY },
  ])
  // Somebody mends it.
  await sql(`UPDATE workspace_schedules SET cron_expr = '0 9 * * *', next_run_at = NULL WHERE id = $1`, id)
  await schedules.advance(
    { scheduleId: id, seen: undefined, next: tomorrow, runAfter: undefined, fault: undefined },
    fence,
  )
  expect(await sql('SELECT last_status, last_error, next_run_at FROM workspace_schedules WHERE id = $1', id)).toEqual([
    { last_status: null, last_error: null, next_run_at: tomorrow },
  ])
})

test('a schedule of a workspace that is gone comes once more, and then waits', async () => {
  const { id, ws } = await scheduled(past)
  await workspaces.remove(ws, fence)
  const due = await dueOf(id)
  if (due === undefined) throw new Error('not due')
  await advance(due)
  expect(await openOf(ws)).toMatchObject([{ phase: 'removed' }])
  expect(await sql('SELECT enabled, next_run_at FROM workspace_schedules WHERE id = $1', id)).toEqual([
    { enabled: true, next_run_at: Number.POSITIVE_INFINITY },
  ])
  expect(await dueOf(id)).toBeUndefined()
})

test('ended runs are kept for seven days', async () => {
  const { id, run } = await claimed()
  await sql(
    `INSERT INTO workspace_schedule_runs (id, schedule_id, workspace_id, due_at, fire_at, status, leader_epoch, finished_at)
     SELECT gen_random_uuid(), schedule_id, workspace_id, due_at - age, fire_at, 'ok', 1, now() - age
     FROM workspace_schedule_runs, unnest(ARRAY['6 days', '8 days']::interval[]) AS age WHERE id = $1`,
    run.id,
  )
  await schedules.finish({ runId: run.id, outcome: 'ok', detail: undefined }, fence)
  expect(await runsOf(id)).toHaveLength(2)
})

test('a leader of an earlier epoch claims, begins and ends nothing', async () => {
  const { id } = await scheduled(past)
  const due = await dueOf(id)
  const late = fenceOf(fence.epoch - 1n)
  if (due === undefined) throw new Error('not due')
  await expect(advance(due, tomorrow, late)).rejects.toThrow(Fenced)
  await expect(schedules.begin(randomUUID(), late)).rejects.toThrow(Fenced)
  await expect(schedules.finish({ runId: randomUUID(), outcome: 'ok', detail: undefined }, late)).rejects.toThrow(
    Fenced,
  )
  expect(await runsOf(id)).toEqual([])
})

test('what is asked of ten thousand schedules reads only what is due', async () => {
  const { ws } = await scheduled(past)
  await sql(
    `INSERT INTO workspace_schedules (workspace_id, name, cron_expr, prompt, next_run_at)
     SELECT $1, 'n-' || n, '* * * * *', 'Go.', now() + interval '1 hour' FROM generate_series(1, 10000) n`,
    ws.id,
  )
  await sql('ANALYZE workspace_schedules')
  const [plan] = await sql(`EXPLAIN (FORMAT JSON) ${dueNow.replace('$1', '50')}`)
  expect(JSON.stringify(plan)).not.toMatch(/"Seq Scan"[^{}]*"workspace_schedules"/)
})

test('thousands that are due in one namespace do not stand before the first of another', async () => {
  const [crowd, one] = [await scheduled(past), await scheduled(past, { namespace: 'other' })]
  await sql(
    `INSERT INTO workspace_schedules (workspace_id, name, cron_expr, prompt, next_run_at)
     SELECT $1, 'due-' || n, '* * * * *', 'Go.', now() - interval '1 hour' FROM generate_series(1, 20000) n`,
    crowd.ws.id,
  )
  await sql('ANALYZE workspace_schedules')
  const first = await schedules.due(2)
  expect(first.map(({ id }) => id)).toContain(one.id)
  await sql(
    `INSERT INTO workspace_schedule_runs (id, schedule_id, workspace_id, due_at, fire_at, status, leader_epoch)
     SELECT gen_random_uuid(), s.id, s.workspace_id, now(),
       now() - CASE WHEN s.id = $1 THEN interval '1 minute' ELSE interval '1 hour' END, 'waiting', 1
     FROM workspace_schedules s WHERE s.workspace_id = $2 OR s.id = $1`,
    one.id,
    crowd.ws.id,
  )
  expect((await schedules.open(2)).map(({ namespace }) => namespace)).toContain('other')
  await sql('DELETE FROM workspace_schedules WHERE workspace_id = $1', crowd.ws.id)
})
