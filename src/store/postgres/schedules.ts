/** Schedules and runs: what is due, claimed, begun and ended. The state machine is drawn at the port. */
import type { Metrics } from '../../telemetry/metrics.ts'
import type { Advance, DueSchedule, OpenRun, RunEnd, ScheduleStore } from '../schedule-store.ts'
import { surfaced } from './faults.ts'
import type { Database } from './pool.ts'
import { fenced, type Answer, type Statement } from './statement.ts'

const milliseconds = (expression: string) => `(date_part('epoch', ${expression}) * 1000)`

/** `next_run_at` of a schedule that was on when its row was removed for good, and is off since. */
export const wasOn = `'-infinity'::timestamptz`

/** What is assigned to the schedules of a removed row that is taken up again. */
export const resumed = `
      enabled = s.enabled OR s.next_run_at IS NOT DISTINCT FROM ${wasOn}, next_run_at = NULL, reckoned_from = now()`

/**
 * Three looks into two small indexes: not reckoned yet, due, and reckoned from a time that is yet to come (again). All
 * that is due is ranked within its namespace, so that thousands of one do not stand before the first of another: 30 ms for twenty thousand.
 */
export const dueNow = `
  WITH due AS MATERIALIZED (
    SELECT s.id, s.workspace_id, s.next_run_at FROM workspace_schedules s
    WHERE s.enabled AND (s.next_run_at IS NULL OR s.next_run_at <= now() OR s.reckoned_from > now())
  ),
  ranked AS (
    SELECT d.id, d.next_run_at,
      row_number() OVER (PARTITION BY w.namespace ORDER BY d.next_run_at NULLS FIRST, d.id) AS turn
    FROM due d JOIN workspaces w ON w.id = d.workspace_id
  ),
  next AS MATERIALIZED (SELECT * FROM ranked ORDER BY turn, next_run_at NULLS FIRST, id LIMIT $1)
  SELECT s.id, s.cron_expr AS cron, s.timezone, s.next_run_at::text AS seen,
    COALESCE(s.next_run_at <= now(), false) AS due,
    CASE WHEN s.next_run_at IS NULL THEN LEAST(s.reckoned_from, now()) ELSE now() END AS "from"
  FROM next n JOIN workspace_schedules s ON s.id = n.id
  ORDER BY n.turn, n.next_run_at NULLS FIRST, n.id`

const openNow = `
  SELECT r.id, r.workspace_id AS "workspaceId", w.namespace, s.name AS schedule, s.enabled, r.attempts,
    r.due_at AS "dueAt", ${milliseconds('(now() - r.fire_at)')} AS waited, w.status AS phase,
    w.wake_requested_at IS NOT NULL AS waking, w.delivery_mode AS "deliveryMode", w.active_tasks AS "activeTasks", w.max_concurrent_tasks AS "maxConcurrentTasks"
  FROM workspace_schedule_runs r
    JOIN workspace_schedules s ON s.id = r.schedule_id JOIN workspaces w ON w.id = s.workspace_id
  WHERE r.finished_at IS NULL AND r.fire_at <= now()
  ORDER BY row_number() OVER (PARTITION BY w.namespace ORDER BY r.fire_at, r.id), r.fire_at, r.id LIMIT $1`

/** History and activity of the runs of `ended`: id, schedule_id, workspace_id, name, due_at, begun, outcome, detail. */
const chronicled = `
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT CASE e.outcome WHEN 'skipped' THEN 'CRON_SKIPPED' ELSE 'CRON_EXECUTED' END, e.workspace_id,
      jsonb_strip_nulls(jsonb_build_object('schedule', e.name, 'schedule_id', e.schedule_id, 'run_id', e.id,
        'due_at', e.due_at, 'status', e.outcome, 'detail', e.detail))
    FROM ended e
  ),
  logged AS (
    INSERT INTO activity_logs (workspace_id, activity_type, target_id, method, summary, request_body, duration_ms,
      status, error_detail)
    SELECT e.workspace_id, 'cron_run', e.workspace_id, 'message/send', 'schedule ' || e.name,
      jsonb_build_object('schedule_id', e.schedule_id, 'run_id', e.id, 'due_at', e.due_at),
      ${milliseconds('(now() - e.begun)')}::int, e.outcome, e.detail
    FROM ended e
  )`

/** Of the schedule and its due time alone. */
const runIdOf = `md5(l.schedule_id::text || ' ' || ${milliseconds('l.seen')}::bigint)::uuid`

/**
 * A schedule of a workspace that is gone runs once more, which the scheduler skips, and then waits for an adoption. One
 * that the agent runs itself is only told the time, unless the agent is not there to run it.
 */
const advance: Statement<Advance, Answer & { skipped: boolean }, boolean> = {
  name: 'schedule_advance',
  key: ({ scheduleId }) => scheduleId,
  columns: [
    ['schedule_id', 'uuid', (a) => a.scheduleId],
    ['seen', 'timestamptz', (a) => a.seen],
    ['next', 'timestamptz', (a) => (a.next === 'never' ? 'infinity' : a.next)],
    ['run_after', 'double precision', (a) => a.runAfter],
    ['fault', 'text', (a) => a.fault],
  ],
  sql: `,
  locked AS MATERIALIZED (
    SELECT i.*, s.workspace_id, w.status <> 'removed' AS live,
      i.run_after IS NOT NULL AND NOT (w.owns_schedules AND w.status IN ('online', 'degraded')) AS ours,
      EXISTS (SELECT FROM workspace_schedule_runs r WHERE r.schedule_id = s.id AND r.finished_at IS NULL) AS occupied
    FROM workspace_schedules s JOIN input i ON i.schedule_id = s.id JOIN workspaces w ON w.id = s.workspace_id
    WHERE s.enabled AND s.next_run_at IS NOT DISTINCT FROM i.seen
    ORDER BY s.id FOR NO KEY UPDATE OF s
  ),
  advanced AS (
    UPDATE workspace_schedules s SET
      next_run_at = CASE WHEN l.live THEN l.next ELSE 'infinity' END, reckoned_from = now(), updated_at = now(),
      last_status = CASE WHEN l.fault IS NOT NULL THEN 'invalid' ELSE NULLIF(s.last_status, 'invalid') END,
      last_error = CASE WHEN l.fault IS NOT NULL OR s.last_status = 'invalid' THEN l.fault ELSE s.last_error END
    FROM locked l WHERE s.id = l.schedule_id
  ),
  -- What comes due while the run before it is open is skipped: that one goes on.
  claimed AS (
    INSERT INTO workspace_schedule_runs AS r (id, schedule_id, workspace_id, due_at, fire_at, status, detail,
      finished_at, leader_epoch)
    SELECT ${runIdOf}, l.schedule_id, l.workspace_id, l.seen, now() + l.run_after * interval '1 millisecond',
      CASE WHEN l.occupied THEN 'skipped' ELSE 'waiting' END,
      CASE WHEN l.occupied THEN 'the run before it has not ended' END, CASE WHEN l.occupied THEN now() END, l.epoch
    FROM locked l WHERE l.ours ORDER BY l.schedule_id
    ON CONFLICT DO NOTHING
    RETURNING r.id, r.schedule_id, r.workspace_id, r.due_at, r.claimed_at AS begun, r.status AS outcome, r.detail
  ),
  ended AS MATERIALIZED (
    SELECT c.*, s.name FROM claimed c JOIN workspace_schedules s ON s.id = c.schedule_id
    WHERE c.outcome = 'skipped'
  ),${chronicled}
  SELECT i.ord::int AS ord, e.id IS NOT NULL AS skipped FROM input i LEFT JOIN ended e ON e.schedule_id = i.schedule_id`,
  result: (row) => row?.skipped === true,
}

const begin: Statement<string, Answer & { prompt: string | null }, string | undefined> = {
  name: 'schedule_begin',
  key: (runId) => runId,
  columns: [['run_id', 'uuid', (runId) => runId]],
  sql: `,
  locked AS MATERIALIZED (
    SELECT i.*, s.prompt FROM workspace_schedule_runs r JOIN input i ON i.run_id = r.id
      JOIN workspace_schedules s ON s.id = r.schedule_id
    WHERE r.finished_at IS NULL ORDER BY r.id FOR NO KEY UPDATE OF r
  ),
  begun AS (
    UPDATE workspace_schedule_runs r SET
      status = 'delivering', attempts = r.attempts + 1, started_at = COALESCE(r.started_at, now()),
      leader_epoch = l.epoch
    FROM locked l WHERE r.id = l.run_id
  )
  SELECT i.ord::int AS ord, l.prompt FROM input i LEFT JOIN locked l ON l.run_id = i.run_id`,
  result: (row) => row?.prompt ?? undefined,
}

/** Runs are kept for so long; their traces in history and activity have a life of their own. */
const keptFor = '7 days'

const finish: Statement<RunEnd, Answer, void> = {
  name: 'schedule_finish',
  key: ({ runId }) => runId,
  columns: [
    ['run_id', 'uuid', (e) => e.runId],
    ['outcome', 'text', (e) => e.outcome],
    ['detail', 'text', (e) => e.detail],
  ],
  sql: `,
  ended AS MATERIALIZED (
    SELECT i.*, r.id, r.schedule_id, r.workspace_id, r.due_at, r.started_at AS begun, s.name
    FROM workspace_schedule_runs r JOIN input i ON i.run_id = r.id JOIN workspace_schedules s ON s.id = r.schedule_id
    WHERE r.finished_at IS NULL ORDER BY r.id FOR NO KEY UPDATE OF r
  ),
  closed AS (
    UPDATE workspace_schedule_runs r SET
      status = e.outcome, detail = e.detail, finished_at = now(), leader_epoch = e.epoch
    FROM ended e WHERE r.id = e.id
  ),
  pruned AS (
    DELETE FROM workspace_schedule_runs r USING ended e
    WHERE r.schedule_id = e.schedule_id AND r.finished_at < now() - interval '${keptFor}'
  ),
  noted AS (
    UPDATE workspace_schedules s SET
      last_run_at = CASE e.outcome WHEN 'skipped' THEN s.last_run_at ELSE now() END,
      run_count = s.run_count + CASE e.outcome WHEN 'skipped' THEN 0 ELSE 1 END,
      last_status = e.outcome, last_error = e.detail
    FROM ended e WHERE s.id = e.schedule_id
  ),${chronicled}
  SELECT i.ord::int AS ord FROM input i`,
  result: () => {},
}

type DueRow = Omit<DueSchedule, 'seen'> & { readonly seen: string | null }

export function openSchedules(
  database: Database,
  metrics: Metrics,
  lease: string,
): ScheduleStore & { close(): Promise<void> } {
  const advances = fenced(database, metrics, lease, advance)
  const begins = fenced(database, metrics, lease, begin)
  const ends = fenced(database, metrics, lease, finish)

  async function ask<Row extends object>(name: string, text: string, limit: number): Promise<readonly Row[]> {
    try {
      return await database.query<Row & Record<string, unknown>>(name, text, [limit])
    } catch (error) {
      throw surfaced(error)
    }
  }

  return {
    async due(limit) {
      const rows = await ask<DueRow>('schedules_due', dueNow, limit)
      return rows.map(({ id, cron, timezone, seen, due, from }) => ({
        id,
        cron,
        timezone,
        seen: seen ?? undefined,
        due,
        from,
      }))
    },
    open: (limit) => ask<OpenRun>('schedule_runs_open', openNow, limit),
    advance: (item, fence) => advances.add({ item, fence }),
    begin: (item, fence) => begins.add({ item, fence }, 'now'),
    finish: (item, fence) => ends.add({ item, fence }, 'now'),
    async close() {
      await Promise.all([advances, begins, ends].map((batcher) => batcher.close()))
    },
  }
}
