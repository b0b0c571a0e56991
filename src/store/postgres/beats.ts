/**
 * What agents say of themselves, as statements of many rows: register, heartbeat. The transitions are those of the
 * lifecycle, made where the row is locked:
 *
 *   register    provisioning, offline, awaiting_agent, failed, degraded ──► online
 *   heartbeat   provisioning, offline, awaiting_agent ──(reachable)──► online
 *               online ──(wedged, or error rate ≥ 0.5)──► degraded ──(healthy and error rate < 0.1)──► online
 *
 * A beat says that an agent runs, not where: it makes one online only where its address is known, its messages are fetched,
 * or it has registered in this incarnation with a backend that knows its address. What never registered stays what it was,
 * and its first beat signals, so that people are told.
 *
 * An agent that owns its status is judged by what it says alone, never by its error rate. Only a change of meaning
 * (another status, the first word of an incarnation) signals; a mere beat is but facts in unindexed columns.
 */
import type { Heartbeat, Registration } from '../agent-store.ts'
import type { Phase, WorkspaceId } from '../workspace-store.ts'
import { notified, notifiedCount } from './signal.ts'
import type { Answer, Statement } from './statement.ts'

interface PhaseRow extends Answer {
  status: Phase | null
}
const phaseOf = (row: PhaseRow | undefined): { status: Phase } | undefined =>
  row?.status ? { status: row.status } : undefined

/**
 * Locks the live rows in the order of their ids and states what each becomes, as `become`; and whether it is to wake: it
 * was going to sleep while a task came in.
 */
const judged = (become: string, waking = 'false', admitted = 'true'): string => `,
  judged AS MATERIALIZED (
    SELECT i.*, w.status AS was, w.registered_at IS NULL AS first,
      w.last_heartbeat_at IS NULL AS first_beat, ${become} AS become, ${waking} AS waking
    FROM workspaces w JOIN input i ON i.id = w.id
    WHERE w.status <> 'removed' AND ${admitted}
    ORDER BY w.id FOR NO KEY UPDATE OF w
  )`

/** A change of meaning, of a judged row under that name. */
const meaningful = (row: string): string =>
  `(${row}.become <> ${row}.was OR (${row}.first AND ${row}.become IN ('online', 'degraded'))
    OR (${row}.first AND ${row}.first_beat AND ${row}.become IN ('provisioning', 'awaiting_agent')) OR ${row}.waking)`

/** What both have in common once the row says where it is now. `j` is the judged row, `w` the one being written. */
const arrived = `
      status = j.become,
      status_since = CASE WHEN j.become <> j.was THEN now() ELSE w.status_since END,
      last_heartbeat_at = now(),
      registered_at = CASE WHEN j.become IN ('online', 'degraded') THEN COALESCE(w.registered_at, now())
        ELSE w.registered_at END,
      signalled_at = CASE WHEN ${meaningful('j')} THEN now() ELSE w.signalled_at END`

/** Events, NOTIFY, and the answer. */
const spoken = (payload: string): string => `,
  signalled AS MATERIALIZED (
    SELECT w.* FROM written w WHERE ${meaningful('w')}
  ),
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT CASE s.become WHEN 'degraded' THEN 'WORKSPACE_DEGRADED' ELSE 'WORKSPACE_ONLINE' END, s.id, ${payload}
    FROM signalled s WHERE s.become <> s.was
  )${notified}
  SELECT i.ord::int AS ord, j.become AS status, ${notifiedCount}
  FROM input i LEFT JOIN judged j ON j.ord = i.ord`

export const register: Statement<Registration, PhaseRow, { status: Phase } | undefined> = {
  name: 'register',
  key: ({ id }) => id,
  columns: [
    ['id', 'uuid', (r) => r.id],
    ['url', 'text', (r) => r.url],
    ['agent_card', 'jsonb', (r) => (r.agentCard === undefined ? undefined : JSON.stringify(r.agentCard))],
    ['delivery_mode', 'text', (r) => r.deliveryMode],
  ],
  sql: `${judged(
    `CASE WHEN w.status IN ('provisioning', 'offline', 'awaiting_agent', 'failed', 'degraded')
      THEN 'online'::workspace_status ELSE w.status END`,
  )},
  written AS (
    UPDATE workspaces w SET ${arrived},
      launch_attempts = 0, last_task_at = now(), registration_refusal = NULL,
      url = CASE WHEN w.backend = 'external' AND j.url <> '' THEN j.url ELSE w.url END,
      agent_card = COALESCE(j.agent_card, w.agent_card),
      delivery_mode = COALESCE(j.delivery_mode, w.delivery_mode)
    FROM judged j WHERE w.id = j.id
    RETURNING w.id, w.namespace, w.resource_name, j.was, j.become, j.first, j.first_beat, j.waking
  )${spoken(`jsonb_build_object('from', s.was)`)}`,
  result: phaseOf,
}

const reachable = `(w.url <> '' OR w.delivery_mode = 'poll'
        OR (w.registered_at IS NOT NULL AND w.backend <> 'external'))`

export const heartbeat: Statement<Heartbeat, PhaseRow, { status: Phase } | undefined> = {
  name: 'heartbeat',
  // Ten thousand agents are 333 beats a second: statements, not beats, are what costs.
  pause: 250,
  // By token, too: what one brings must not be answered with what another brought.
  key: ({ id, tokenHash }) => (tokenHash === undefined ? id : id + tokenHash.toString('latin1')),
  columns: [
    ['id', 'uuid', (b) => b.id],
    ['token_hash', 'bytea', (b) => b.tokenHash],
    ['error_rate', 'double precision', (b) => b.errorRate],
    ['sample_error', 'text', (b) => b.sampleError],
    ['active_tasks', 'integer', (b) => b.activeTasks],
    ['uptime_seconds', 'integer', (b) => b.uptimeSeconds],
    ['current_task', 'text', (b) => b.currentTask],
    ['monthly_spend', 'bigint', (b) => Math.round(Math.min(Math.max(b.monthlySpend, 0), 1e12))],
    ['wedged', 'boolean', (b) => b.state === 'wedged'],
    ['owns_status', 'boolean', (b) => b.ownsStatus],
    ['owns_schedules', 'boolean', (b) => b.ownsSchedules],
  ],
  sql: `${judged(
    `CASE
      WHEN w.status IN ('provisioning', 'offline', 'awaiting_agent') AND ${reachable} THEN 'online'::workspace_status
      WHEN w.status = 'online' AND (i.wedged OR (i.error_rate >= 0.5 AND NOT i.owns_status)) THEN 'degraded'
      WHEN w.status = 'degraded' AND NOT i.wedged AND (i.error_rate < 0.1 OR i.owns_status) THEN 'online'
      ELSE w.status END`,
    `w.status = 'hibernating' AND i.active_tasks > 0 AND w.wake_requested_at IS NULL`,
    `(i.token_hash IS NULL OR EXISTS (SELECT FROM workspace_auth_tokens t
        WHERE t.token_hash = i.token_hash AND t.workspace_id = w.id AND t.revoked_at IS NULL))`,
  )},
  written AS (
    UPDATE workspaces w SET ${arrived},
      launch_attempts = CASE j.become WHEN 'online' THEN 0 ELSE w.launch_attempts END,
      last_error_rate = j.error_rate,
      -- What the platform wrote about a failure outlives the beats of an agent that has not registered again.
      last_sample_error = CASE j.become WHEN 'failed' THEN w.last_sample_error ELSE NULLIF(j.sample_error, '') END,
      -- A task that this beat no longer speaks of was at work until just now.
      last_task_at = CASE WHEN j.active_tasks > 0 OR w.active_tasks > 0 THEN now() ELSE w.last_task_at END,
      busy_since = CASE WHEN j.active_tasks > 0 THEN COALESCE(w.busy_since, now()) END,
      wake_requested_at = CASE WHEN j.waking THEN now() ELSE w.wake_requested_at END,
      active_tasks = j.active_tasks, owns_schedules = j.owns_schedules, uptime_seconds = j.uptime_seconds, current_task = NULLIF(j.current_task, ''),
      monthly_spend = CASE j.monthly_spend WHEN 0 THEN w.monthly_spend ELSE j.monthly_spend END
    FROM judged j WHERE w.id = j.id
    RETURNING w.id, w.namespace, w.resource_name, j.was, j.become, j.first, j.first_beat, j.waking, j.wedged, j.error_rate
  )${spoken(`CASE s.become
      WHEN 'degraded' THEN jsonb_build_object('from', s.was, 'wedged', s.wedged, 'error_rate', s.error_rate)
      ELSE jsonb_build_object('recovered_from', s.was) END`)}`,
  result: phaseOf,
}

export interface RefusedRegistration {
  readonly id: WorkspaceId
  /** One line, without a secret. */
  readonly refusal: string
}

/** Of an agent that serves nothing is kept. One that is refused for another thing each time is told of every ten seconds. */
export const refuseRegistration: Statement<RefusedRegistration, Answer, void> = {
  name: 'refuse_registration',
  key: ({ id }) => id,
  columns: [
    ['id', 'uuid', (r) => r.id],
    ['refusal', 'text', (r) => r.refusal],
  ],
  sql: `,
  met AS MATERIALIZED (
    SELECT i.* FROM workspaces w JOIN input i ON i.id = w.id
    WHERE w.status IN ('provisioning', 'offline', 'awaiting_agent', 'failed')
      AND w.registration_refusal IS DISTINCT FROM i.refusal
      AND (w.registration_refusal IS NULL OR w.signalled_at IS NULL OR w.signalled_at < now() - interval '10 seconds')
    ORDER BY w.id FOR NO KEY UPDATE OF w
  ),
  signalled AS MATERIALIZED (
    UPDATE workspaces w SET registration_refusal = m.refusal, signalled_at = now() FROM met m WHERE w.id = m.id
    RETURNING w.namespace, w.resource_name
  )${notified}
  SELECT i.ord::int AS ord, ${notifiedCount} FROM input i`,
  result: () => undefined,
}

interface Card {
  readonly id: WorkspaceId
  readonly agentCard: unknown
}

export const updateCard: Statement<Card, Answer & { known: boolean }, boolean> = {
  name: 'update_card',
  key: ({ id }) => id,
  columns: [
    ['id', 'uuid', (c) => c.id],
    ['agent_card', 'jsonb', (c) => JSON.stringify(c.agentCard)],
  ],
  sql: `,
  met AS MATERIALIZED (
    SELECT i.*, w.agent_card IS DISTINCT FROM i.agent_card AS differs
    FROM workspaces w JOIN input i ON i.id = w.id
    WHERE w.status <> 'removed'
    ORDER BY w.id FOR NO KEY UPDATE OF w
  ),
  written AS (
    UPDATE workspaces w SET agent_card = m.agent_card FROM met m WHERE w.id = m.id AND m.differs
  ),
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT 'AGENT_CARD_UPDATED', m.id,
      jsonb_build_object('sha256', encode(sha256(convert_to(m.agent_card::text, 'UTF8')), 'hex'))
    FROM met m WHERE m.differs
  )
  SELECT i.ord::int AS ord, m.id IS NOT NULL AS known FROM input i LEFT JOIN met m ON m.id = i.id`,
  result: (row) => row?.known === true,
}
