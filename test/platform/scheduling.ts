/** Schedules against real rows and agents on loopback, for the tests of one file. */
import { afterAll, afterEach } from 'vitest'
import { milliseconds } from '../../src/duration.ts'
import { addressRule } from '../../src/outbound.ts'
import { createForward } from '../../src/platform/forward.ts'
import { createPrompts } from '../../src/platform/prompt.ts'
import type { WorkspaceId, WorkspaceIntent } from '../../src/store/workspace-store.ts'
import { scheduler, type SchedulerOptions } from '../../src/sweepers/scheduler.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'
import { startPrompted } from './prompted.ts'
import { openRegistry, type Member } from './registry.ts'

/** A schedule that is not due again while a test runs. */
export const rare = '0 0 1 1 *'
/** How long a run may take to its end, on a machine that is busy. */
const within = 30_000

/** At the top level of a test file; all of it ends after the file. */
export async function openScheduling() {
  const agent = await startPrompted()
  const registry = await openRegistry(await database())
  const { store, metrics, log, fence } = registry
  const sql: typeof registry.sql = (text, values) => registry.sql(text, values)
  const { agents, schedules } = store
  const forward = createForward({ rule: addressRule(), resolve: async () => [] })
  const running: (() => Promise<void>)[] = []
  afterEach(async () => {
    await Promise.all(running.splice(0).map((stop) => stop()))
  })
  afterAll(async () => {
    await forward.close()
    agent.stop()
    await registry.close()
  })

  /** A scheduler that looks often and spreads nothing, unless `more` says otherwise; it ends with its test. */
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
  const online = async (given: Partial<WorkspaceIntent> = {}): Promise<Member & { path: string }> => {
    const path = `/${++paths}`
    return { ...(await registry.online(`${agent.url.slice(0, -1)}${path}`, given)), path }
  }
  /**
   * As an agent makes one for itself; `next` is SQL. It was reckoned a while ago: to a look whose time was taken just
   * before, what was reckoned this moment is of a clock that was set back since.
   */
  async function schedule(id: WorkspaceId, next = 'now()', cron = '* * * * *', name = 'daily'): Promise<string> {
    const [row] = await sql(
      `INSERT INTO workspace_schedules (workspace_id, name, cron_expr, prompt, next_run_at, reckoned_from)
       VALUES ($1, $2, $3, 'Go on.', ${next}, now() - interval '1 day') RETURNING id`,
      [id, name, cron],
    )
    return String(row?.['id'])
  }
  /** Due each minute of the hour before this one, and missed; not again while a test runs. */
  async function missed(id: WorkspaceId): Promise<string> {
    const hour = `date_trunc('hour', now()) - interval '1 hour'`
    const [row] = await sql(`SELECT date_part('hour', (${hour}) AT TIME ZONE 'UTC') AS hour`)
    return schedule(id, hour, `* ${String(row?.['hour'])} * * *`)
  }
  const runs = (id: string) =>
    sql(
      'SELECT id, status, detail, attempts, due_at FROM workspace_schedule_runs WHERE schedule_id = $1 ORDER BY due_at',
      [id],
    )
  const ended = (id: string, count = 1) =>
    until(
      async () => {
        const found = await runs(id)
        return found.filter(({ status }) => status !== 'waiting' && status !== 'delivering').length >= count
          ? found
          : undefined
      },
      { within, what: 'the end of the run' },
    )
  const received = (path: string) => agent.heard.filter((each) => each.path === path)
  return { agent, registry, sql, start, online, schedule, missed, runs, ended, received }
}
