import { randomUUID } from 'node:crypto'
import type { Duration } from '../../duration.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { AgentStore, TokenOwner } from '../agent-store.ts'
import { phases, type Phase } from '../workspace-store.ts'
import { heartbeat, refuseRegistration, register, updateCard } from './beats.ts'
import { surfaced } from './faults.ts'
import {
  acknowledge,
  address,
  beginMessage,
  messageOf,
  openedAddress,
  takeMessages,
  traceMessage,
  type SealedAddress,
  type TakenRow,
  waitingBytes,
} from './messages.ts'
import type { Database } from './pool.ts'
import type { Seal } from './seal.ts'
import { notified, notifiedCount } from './signal.ts'
import { batched } from './statement.ts'
import { mayTalk } from './talk.ts'
import { authenticate, liveTokens, mint, rotate } from './tokens.ts'

/**
 * Code units of a body from which on a message has a statement of its own: one of a few mebibytes takes PostgreSQL tens of
 * milliseconds, and small messages would wait for it.
 */
const largeBody = 16 * 1024

/** Rows at one go: more are taken by the next round, so that no statement holds many locks for long. */
const expiredAtOnce = 500
const expire = `
  WITH silent AS MATERIALIZED (
    SELECT w.id, w.status AS was FROM workspaces w
    WHERE w.status IN ('online', 'degraded')
      AND COALESCE(w.last_heartbeat_at, w.status_since) < now() - make_interval(secs => $1)
    ORDER BY w.id LIMIT ${expiredAtOnce} FOR NO KEY UPDATE OF w SKIP LOCKED
  ),
  signalled AS (
    UPDATE workspaces w SET
      status = CASE w.backend WHEN 'external' THEN 'awaiting_agent'::workspace_status ELSE 'offline' END,
      status_since = now(), signalled_at = now(), updated_at = now()
    FROM silent s WHERE w.id = s.id
    RETURNING w.id, w.namespace, w.resource_name, w.status, s.was, w.last_heartbeat_at
  ),
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT 'WORKSPACE_OFFLINE', s.id,
      jsonb_build_object('from', s.was, 'to', s.status, 'last_heartbeat_at', s.last_heartbeat_at)
    FROM signalled s
  )${notified}
  SELECT count(*)::int AS expired, ${notifiedCount} FROM signalled`

/** The agents' side of the rows, for any replica. */
/** Namespace is part of it for the roots alone: children share it with their parent. */
const duplicates = `
  SELECT coalesce(sum(same.rows - 1), 0)::int AS count FROM (
    SELECT count(*) AS rows FROM workspaces WHERE status <> 'removed'
    GROUP BY parent_id, namespace, name HAVING count(*) > 1
  ) same`

export function openAgents(
  database: Database,
  metrics: Metrics,
  seal: Seal | undefined,
): AgentStore & { close(): Promise<void> } {
  const tokens = batched(database, metrics, authenticate)
  const registrations = batched(database, metrics, register)
  const refused = batched(database, metrics, refuseRegistration)
  const beats = batched(database, metrics, heartbeat)
  const cards = batched(database, metrics, updateCard)
  const talks = batched(database, metrics, mayTalk)
  const addresses = batched(database, metrics, address)
  const begun = batched(database, metrics, beginMessage)
  const traces = batched(database, metrics, traceMessage)
  const largeTraces = batched(database, metrics, { ...traceMessage, name: 'trace_large_message', alone: true })
  const opened = (found: SealedAddress | undefined) => found && openedAddress(found, seal)
  let turn = 0

  async function ask<Row extends object>(
    name: string,
    text: string,
    values: readonly unknown[],
  ): Promise<readonly Row[]> {
    try {
      return await database.query<Row & Record<string, unknown>>(name, text, values)
    } catch (error) {
      throw surfaced(error)
    }
  }

  return {
    authenticate: (tokenHash) => tokens.add(tokenHash, 'now'),
    async liveTokens(limit) {
      const rows = await ask<TokenOwner & { hash: Buffer }>('live_tokens', liveTokens, [limit])
      return rows.map(({ hash, id, namespace }) => ({ hash, id, namespace }))
    },
    register: (registration) => registrations.add(registration),
    refuseRegistration: (id, refusal) => refused.add({ id, refusal }),
    heartbeat: (beat) => beats.add(beat),
    updateCard: (id, agentCard) => cards.add({ id, agentCard }),
    logMessage(message) {
      const lane = (message.body?.length ?? 0) < largeBody ? traces : largeTraces
      const trace = { activityId: message.id ?? randomUUID(), turn: turn++, message }
      // The answer to what is queued waits for its row; that of what was delivered does not.
      return lane.add(trace, message.outcome === 'queued' ? 'now' : 'soon')
    },
    address: async (id) => opened(await addresses.add(id)),
    beginMessage: async (id) => opened(await begun.add(id, 'now')),
    mayTalk: (from, to) => talks.add({ from, to }, 'now'),
    async mintToken(id, tokenHash, tokenPrefix) {
      const [row] = await ask<{ outcome: 'minted' | 'full' }>('mint_token', mint, [id, tokenHash, tokenPrefix])
      return row?.outcome ?? 'absent'
    },
    async rotateToken(id, tokenHash, tokenPrefix) {
      const [row] = await ask<{ outcome: 'rotated' | 'notExternal' }>('rotate_token', rotate, [
        id,
        tokenHash,
        tokenPrefix,
      ])
      return row?.outcome ?? 'absent'
    },
    async takeMessages(id, limit, lease) {
      return (await ask<TakenRow>('take_messages', takeMessages, [id, limit, lease / 1000])).map(messageOf)
    },
    async waitingBytes(id) {
      const [row] = await ask<{ bytes: string }>('waiting_bytes', waitingBytes, [id])
      return Number(row?.bytes ?? 0)
    },
    async acknowledge(id, messages) {
      const [row] = await ask<{ count: number }>('acknowledge', acknowledge, [id, messages])
      return row?.count ?? 0
    },
    async expire(silence: Duration) {
      for (let total = 0; ;) {
        const [row] = await ask<{ expired: number }>('expire', expire, [silence / 1000])
        const expired = row?.expired ?? 0
        total += expired
        if (expired < expiredAtOnce) return total
      }
    },
    async countByPhase() {
      const rows = await ask<{ status: Phase; count: number }>(
        'count_by_phase',
        `SELECT status, count(*)::int AS count FROM workspaces WHERE status <> 'removed' GROUP BY status`,
        [],
      )
      const counted = new Map(rows.map((row) => [row.status, row.count]))
      return Object.fromEntries(phases.map((phase) => [phase, counted.get(phase) ?? 0])) as Record<Phase, number>
    },
    async countDuplicates() {
      const [row] = await ask<{ count: number }>('count_duplicates', duplicates, [])
      return row?.count ?? 0
    },
    async close() {
      await Promise.all(
        [tokens, registrations, refused, beats, cards, talks, addresses, begun, traces, largeTraces].map((batcher) =>
          batcher.close(),
        ),
      )
    },
  }
}
