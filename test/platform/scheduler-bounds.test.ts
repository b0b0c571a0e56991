/** Whom a run waits for and how long, how many go at once, and what clocks that step do to it. */
import { expect, test, vi } from 'vitest'
import { milliseconds, seconds } from '../../src/duration.ts'
import type { WorkspaceId } from '../../src/store/workspace-store.ts'
import { until } from '../support/until.ts'
import { openScheduling, rare } from './scheduling.ts'

const { agent, registry, sql, start, online, schedule, runs, ended, received } = await openScheduling()
const { manners, count } = agent
const { agents, schedules } = registry.store

/** The store, and a wait until the scheduler has looked at open runs so many times more: what has not come by then does not. */
function looksCounted() {
  let looks = 0
  const open = (limit: number) => {
    looks++
    return schedules.open(limit)
  }
  const more = async (times: number) => {
    const before = looks
    await until(() => looks > before + times)
  }
  return { schedules: { ...schedules, open }, more }
}

test('a busy agent is waited for, then the run is given up; a free one gets it at once', async () => {
  const member = await online()
  await sql('UPDATE workspaces SET active_tasks = 1 WHERE id = $1', [member.id])
  const id = await schedule(member.id, 'now()', rare)
  const looks = looksCounted()
  const { stop } = start({ schedules: looks.schedules })
  await until(async () => (await runs(id)).length === 1)
  await looks.more(3)
  expect(await runs(id)).toMatchObject([{ status: 'waiting' }])
  await sql(`UPDATE workspace_schedule_runs SET fire_at = now() - interval '2 minutes' WHERE schedule_id = $1`, [id])
  expect(await ended(id)).toMatchObject([{ status: 'skipped', detail: 'the agent was busy for 2m' }])
  const other = await schedule(member.id, 'now()', rare, 'other')
  await sql('UPDATE workspaces SET active_tasks = 0 WHERE id = $1', [member.id])
  expect(await ended(other)).toMatchObject([{ status: 'ok' }])
  await stop()
  expect(received(member.path)).toHaveLength(1)
})

test('a sleeping agent is asked to wake, once, and gets it once it is there', async () => {
  const member = await online()
  await registry.setStatus(member.id, 'hibernated')
  const id = await schedule(member.id, 'now()', rare)
  let wakes = 0
  const wake = (to: WorkspaceId) => {
    wakes++
    return agents.beginMessage(to)
  }
  const looks = looksCounted()
  const { stop } = start({ wake, schedules: looks.schedules })
  await until(async () => (await registry.row(member.id))['wake_requested_at'] !== null)
  await looks.more(3)
  expect(wakes).toBe(1)
  expect(received(member.path)).toEqual([])
  await registry.setStatus(member.id, 'provisioning')
  await looks.more(3)
  expect(received(member.path)).toEqual([])
  await registry.setStatus(member.id, 'online')
  expect(await ended(id)).toMatchObject([{ status: 'ok' }])
  await stop()
})

test('an organisation that sleeps does not stand before those who are awake', async () => {
  const [sleeper, member] = [await online(), await online()]
  await registry.setStatus(sleeper.id, 'hibernated')
  await sql(
    `WITH s AS (
       INSERT INTO workspace_schedules (workspace_id, name, cron_expr, prompt, next_run_at)
       SELECT $1, 'n-' || n, '0 0 1 1 *', 'Go on.', now() + interval '1 day' FROM generate_series(1, 600) n RETURNING id
     )
     INSERT INTO workspace_schedule_runs (id, schedule_id, workspace_id, due_at, fire_at, status, leader_epoch)
     SELECT gen_random_uuid(), s.id, $1, now(), now() - interval '1 minute', 'waiting', 1 FROM s`,
    [sleeper.id],
  )
  const id = await schedule(member.id, 'now()', rare)
  const { stop } = start()
  expect(await ended(id)).toMatchObject([{ status: 'ok' }])
  await stop()
  await sql('DELETE FROM workspace_schedules WHERE workspace_id = $1', [sleeper.id])
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

test('one that never answers is given up, and none that is broken for ever is tried for ever', async () => {
  const [hanging, breaking] = [await online(), await online()]
  manners[hanging.path] = () => 'hang'
  manners[breaking.path] = () => 'break'
  const broken = await schedule(breaking.id, 'now()', rare)
  const first = start()
  expect(await ended(broken)).toMatchObject([{ status: 'error', attempts: 8 }])
  await first.stop()
  const hung = await schedule(hanging.id, 'now()', rare)
  const second = start({ limits: { delivery: milliseconds(300) } })
  const outcome = { status: 'error', attempts: 1, detail: 'the agent did not answer in time' }
  expect(await ended(hung)).toMatchObject([outcome])
  await second.stop()
  // Its time may have been over before the prompt had reached it.
  expect(received(hanging.path).length).toBeLessThanOrEqual(1)
})

test('what breaks on our side is not tried for ever, either', async () => {
  const member = await online()
  const id = await schedule(member.id, 'now()', rare)
  const { stop } = start({ deliver: () => Promise.reject(new Error('no such thing')) })
  expect(await ended(id)).toMatchObject([{ status: 'error', attempts: 8, detail: 'not delivered in 8 tries' }])
  await stop()
})

test('thirty at the same minute: all of them, and no more at once than allowed', async () => {
  const members = await Promise.all(Array.from({ length: 30 }, () => online()))
  await until(() => count.atOnce === 0, { what: 'the end of what others were sent' })
  count.mostAtOnce = 0
  const ids = await Promise.all(members.map(({ id }) => schedule(id, 'now()', rare)))
  // A namespace alone has a quarter.
  const { stop } = start({ every: seconds(1), limits: { deliveries: 12 } })
  for (const id of ids) expect(await ended(id)).toMatchObject([{ status: 'ok' }])
  await stop()
  expect(count.mostAtOnce).toBeGreaterThan(1)
  expect(count.mostAtOnce).toBeLessThanOrEqual(3)
})

test('a namespace whose agents all hang keeps no other from its runs, and an agent that hangs no other of its namespace', async () => {
  const [hanging, neighbour, other] = [await online(), await online(), await online({ namespace: 'other' })]
  const crowd = await Promise.all(Array.from({ length: 12 }, () => online()))
  for (const { path } of [hanging, ...crowd]) manners[path] = () => 'hang'
  await sql('UPDATE workspaces SET max_concurrent_tasks = 50 WHERE id = $1', [hanging.id])
  await Promise.all(
    Array.from({ length: 6 }, (_, n) => schedule(hanging.id, `now() - interval '1 hour'`, rare, `hung-${n}`)),
  )
  const limits = { deliveries: 24, deliveriesToOne: 3 }
  const { stop } = start({ limits })
  await until(() => received(hanging.path).length === 3, { what: 'as many as one agent gets' })
  const near = await schedule(neighbour.id, 'now()', rare)
  expect(await ended(near)).toMatchObject([{ status: 'ok' }])
  expect(received(hanging.path)).toHaveLength(3)
  await Promise.all(crowd.map(({ id }) => schedule(id, `now() - interval '1 hour'`, rare)))
  const sent = () => [hanging, ...crowd].flatMap(({ path }) => received(path)).length
  await until(() => sent() === 6, { what: 'as many as one namespace gets' })
  const far = await schedule(other.id, 'now()', rare)
  expect(await ended(far)).toMatchObject([{ status: 'ok' }])
  expect(sent()).toBe(6)
  await stop()
  await sql(`DELETE FROM workspace_schedules WHERE workspace_id = ANY($1)`, [[hanging, ...crowd].map(({ id }) => id)])
})

test('in each look, sleeping agents of one namespace get a quarter of the wakes', async () => {
  const sleepers = await Promise.all(Array.from({ length: 12 }, () => online()))
  const ids = sleepers.map(({ id }) => id)
  await sql(`UPDATE workspaces SET status = 'hibernated' WHERE id = ANY($1)`, [ids])
  const wakes: number[] = []
  const open = (limit: number) => {
    wakes.push(0)
    return schedules.open(limit)
  }
  const wake = async () => void (wakes[wakes.length - 1] = (wakes.at(-1) ?? 0) + 1)
  await Promise.all(ids.map((id) => schedule(id, 'now()', rare)))
  const { stop } = start({ schedules: { ...schedules, open }, wake, limits: { wakes: 16 } })
  await until(() => wakes.filter((count) => count > 0).length > 3)
  await stop()
  expect(Math.max(...wakes)).toBe(4)
  await sql(`DELETE FROM workspace_schedules WHERE workspace_id = ANY($1)`, [ids])
})

test('what is due at the same minute is begun at places of its own within a few seconds', async () => {
  const members = await Promise.all(Array.from({ length: 8 }, () => online()))
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
  const { stop } = start({ schedules: slow, limits: { statement: seconds(1) } })
  expect(await ended(id)).toMatchObject([{ status: 'ok' }])
  const fault = expect.stringContaining('99') as string
  await until(async () => {
    const found = await sql('SELECT last_error FROM workspace_schedules WHERE id = $1', [wrong])
    expect(found).toEqual([{ last_error: fault }])
    return true
  })
  await stop()
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
  // Due once an hour, and half an hour ago: no other time comes while this runs.
  const half = `date_trunc('minute', now()) - interval '30 minutes'`
  const [row] = await sql(`SELECT date_part('minute', (${half}) AT TIME ZONE 'UTC') AS minute`)
  const id = await schedule(member.id, half, `${String(row?.['minute'])} * * * *`)
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
      `SELECT next_run_at <= now() + interval '30 minutes' AS soon FROM workspace_schedules WHERE id = $1`,
      [id],
    )
    return row?.['soon'] === true
  })
  await second.stop()
  expect(received(member.path)).toHaveLength(1)
})
