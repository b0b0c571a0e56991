/**
 * Messages between agents, as statements of many rows: where one goes, that it is on its way, what became of it.
 * A message and the claim of an idle agent's sleep meet at the lock of the row: whoever comes second finds the mark of
 * the first.
 */
import {
  inboxLimits,
  takenBytes,
  type AgentAddress,
  type InboxFull,
  type Message,
  type QueuedMessage,
} from '../agent-store.ts'
import { workspaceId, type Phase, type WorkspaceId } from '../workspace-store.ts'
import type { Seal } from './seal.ts'
import { notified, notifiedCount } from './signal.ts'
import type { Answer, Statement } from './statement.ts'
import { inboundPlace } from './transitions.ts'

interface AddressRow extends Answer {
  id: WorkspaceId | null
  namespace: string
  status: Phase
  url: string
  delivery_mode: 'push' | 'poll'
  backend: string
  phase_reason: string | null
  inbound_secret: Buffer | null
}

/** An address whose secret was not opened yet. */
export type SealedAddress = Omit<AgentAddress, 'inbound'> & { readonly sealedSecret?: Buffer }

/** A secret that was sealed with another key is no error of the row: it is said to be there, and unknown. */
export function openedAddress({ sealedSecret, ...address }: SealedAddress, seal: Seal | undefined): AgentAddress {
  if (sealedSecret === undefined) return address
  try {
    return { ...address, inbound: { secret: seal?.open(sealedSecret, inboundPlace(address.id)) } }
  } catch {
    return { ...address, inbound: { secret: undefined } }
  }
}

const addressOf = (row: AddressRow | undefined): SealedAddress | undefined =>
  row && row.id !== null
    ? {
        id: row.id,
        namespace: row.namespace,
        status: row.status,
        url: row.url,
        deliveryMode: row.delivery_mode,
        backend: row.backend,
        // Into the other phases an agent or a sweeper may have led, which give no reason.
        ...((row.status === 'paused' || row.status === 'failed') &&
          row.phase_reason !== null && { reason: row.phase_reason }),
        ...(row.inbound_secret !== null && { sealedSecret: row.inbound_secret }),
      }
    : undefined

const parts = (table: string): string =>
  ['id', 'namespace', 'status', 'url', 'delivery_mode', 'backend', 'phase_reason', 'inbound_secret']
    .map((name) => `${table}.${name}`)
    .join(', ')

export const address: Statement<WorkspaceId, AddressRow, SealedAddress | undefined> = {
  name: 'address',
  key: (id) => id,
  columns: [['id', 'uuid', (id) => id]],
  sql: `
  SELECT i.ord::int AS ord, ${parts('w')}
  FROM input i JOIN workspaces w ON w.id = i.id AND w.status <> 'removed'`,
  result: addressOf,
}

/**
 * A mark of traffic is renewed once it is this old. In between messages lock no row: a message would wait for every other
 * statement that has a row of its batch. It is less than any `idleAfter`, so that a row with a younger mark is not put to sleep.
 */
const marked = `interval '1 second'`

export const beginMessage: Statement<WorkspaceId, AddressRow, SealedAddress | undefined> = {
  name: 'begin_message',
  key: (id) => id,
  columns: [['id', 'uuid', (id) => id]],
  sql: `,
  due AS MATERIALIZED (
    SELECT ${parts('w')}, w.status IN ('hibernating', 'hibernated') AND w.wake_requested_at IS NULL AS waking
    FROM workspaces w JOIN input i ON i.id = w.id
    WHERE w.status <> 'removed' AND (COALESCE(w.last_traffic_at, '-infinity') < now() - ${marked}
      OR w.status IN ('hibernating', 'hibernated') AND w.wake_requested_at IS NULL)
    ORDER BY w.id FOR NO KEY UPDATE OF w
  ),
  touched AS (
    UPDATE workspaces w SET
      last_traffic_at = now(),
      wake_requested_at = CASE WHEN m.waking THEN now() ELSE w.wake_requested_at END,
      signalled_at = CASE WHEN m.waking THEN now() ELSE w.signalled_at END
    FROM due m WHERE w.id = m.id
    RETURNING w.namespace, w.resource_name, m.waking
  ),
  signalled AS MATERIALIZED (
    SELECT m.namespace, m.resource_name FROM touched m WHERE m.waking
  )${notified},
  met AS (
    SELECT ${parts('d')} FROM due d
    UNION ALL
    SELECT ${parts('w')} FROM workspaces w JOIN input i ON i.id = w.id
    WHERE w.status <> 'removed' AND NOT EXISTS (SELECT FROM due d WHERE d.id = w.id)
  )
  SELECT i.ord::int AS ord, ${parts('m')}, ${notifiedCount} FROM input i LEFT JOIN met m ON m.id = i.id`,
  result: addressOf,
}

/** A message's trace, with an id of its own so that a repeated statement writes it once. */
export interface Trace {
  readonly activityId: string
  /**
   * Grows with each message of this process: the order within a statement. Between statements there is an order only while none
   * fails: parts of a refused one go side by side, a large message has one of its own, and other replicas write, too.
   */
  readonly turn: number
  readonly message: Message
}

const { workspace: own, namespace: shared, total } = inboxLimits

/** Of the total, what namespace `n` may have while `e` counts all. */
const share = (what: 'messages' | 'bytes'): string =>
  `(${total[what]} - COALESCE(e.${what}, 0) + COALESCE(n.${what}, 0)) / 3`

/**
 * Which of the messages to be queued find room, as `judged`: those that came first, while the counts of the inbox, its
 * namespace and all together allow it. A namespace has at most a third of what all the others have left, as in places.ts:
 * by a fixed limit alone, sixteen namespaces that do not fetch would leave none for the seventeenth. Reads a row an inbox and no message. One that is there already (a statement repeated
 * after its COMMIT was lost) is not judged again.
 */
const judged = `
  sized AS MATERIALIZED (
    SELECT i.ord, w.id, w.namespace, COALESCE(octet_length(i.body::text), 0) AS bytes
    FROM input i JOIN workspaces w ON w.id = i.receiver
    WHERE i.outcome = 'queued' AND NOT EXISTS (SELECT FROM activity_logs a WHERE a.id = i.activity_id)
  ),
  neighbours AS MATERIALIZED (
    SELECT d.namespace, sum(b.messages) AS messages, sum(b.bytes) AS bytes
    FROM (SELECT DISTINCT namespace FROM sized) d JOIN workspace_inboxes b ON b.namespace = d.namespace
    GROUP BY d.namespace
  ),
  everyone AS MATERIALIZED (
    SELECT sum(b.messages) AS messages, sum(b.bytes) AS bytes FROM workspace_inboxes b WHERE EXISTS (SELECT FROM sized)
  ),
  at_home AS (
    SELECT s.*, s.bytes <= ${own.bytes}
      AND COALESCE(b.messages, 0) + count(*) FILTER (WHERE s.bytes <= ${own.bytes}) OVER before <= ${own.messages}
      AND COALESCE(b.bytes, 0) + sum(s.bytes) FILTER (WHERE s.bytes <= ${own.bytes}) OVER before <= ${own.bytes} AS fits
    FROM sized s LEFT JOIN workspace_inboxes b ON b.workspace_id = s.id
    WINDOW before AS (PARTITION BY s.id ORDER BY s.ord)
  ),
  nearby AS (
    SELECT h.*, h.fits
      AND COALESCE(n.messages, 0) + count(*) FILTER (WHERE h.fits) OVER before <= ${shared.messages}
      AND COALESCE(n.bytes, 0) + sum(h.bytes) FILTER (WHERE h.fits) OVER before <= ${shared.bytes} AS fits_nearby,
      COALESCE(n.messages, 0) + count(*) FILTER (WHERE h.fits) OVER before <= ${share('messages')}
      AND COALESCE(n.bytes, 0) + sum(h.bytes) FILTER (WHERE h.fits) OVER before <= ${share('bytes')} AS fits_share
    FROM at_home h CROSS JOIN everyone e LEFT JOIN neighbours n ON n.namespace = h.namespace
    WINDOW before AS (PARTITION BY h.namespace ORDER BY h.ord)
  ),
  judged AS MATERIALIZED (
    SELECT n.ord, n.bytes, CASE
      WHEN NOT n.fits THEN 'workspace'
      WHEN NOT n.fits_nearby THEN 'namespace'
      WHEN COALESCE(e.messages, 0) + count(*) FILTER (WHERE n.fits_nearby) OVER before > ${total.messages}
        OR COALESCE(e.bytes, 0) + sum(n.bytes) FILTER (WHERE n.fits_nearby) OVER before > ${total.bytes}
        OR NOT n.fits_share THEN 'total'
      END AS refused_by
    FROM nearby n CROSS JOIN everyone e
    WINDOW before AS (ORDER BY n.ord)
  )`

/** A message counts as traffic of both when it is through, too: an answer may have taken long. */
export const traceMessage: Statement<Trace, Answer & { refused_by: InboxFull | null }, InboxFull | undefined> = {
  name: 'trace_message',
  key: ({ turn }) => String(turn).padStart(16, '0'),
  columns: [
    ['activity_id', 'uuid', (t) => t.activityId],
    ['sender', 'uuid', (t) => t.message.from],
    ['receiver', 'uuid', (t) => t.message.to],
    ['method', 'text', (t) => t.message.method],
    ['outcome', 'text', (t) => t.message.outcome],
    ['detail', 'text', (t) => t.message.detail],
    ['body', 'jsonb', (t) => t.message.body],
  ],
  sql: `,${judged},
  traced AS (
    INSERT INTO activity_logs (id, workspace_id, activity_type, source_id, target_id, method, status, error_detail,
      request_body, body_bytes)
    SELECT i.activity_id, w.id, 'a2a_receive', i.sender, i.receiver, i.method, i.outcome, i.detail,
      i.body, j.bytes
    FROM input i JOIN workspaces w ON w.id = i.receiver LEFT JOIN judged j ON j.ord = i.ord
    WHERE j.refused_by IS NULL ORDER BY i.ord
    ON CONFLICT (id) DO NOTHING
  ),
  -- Both may have been marked just now: again only where that is a while ago.
  party AS MATERIALIZED (
    SELECT w.id, p.sent FROM (
      SELECT u.id, bool_or(u.sent) AS sent FROM (
        SELECT i.sender AS id, true AS sent FROM input i UNION ALL SELECT i.receiver, false FROM input i
      ) u GROUP BY u.id
    ) p JOIN workspaces w ON w.id = p.id
    WHERE COALESCE(w.last_traffic_at, '-infinity') < now() - ${marked}
      OR p.sent AND COALESCE(w.last_outbound_at, '-infinity') < now() - ${marked}
    ORDER BY w.id FOR NO KEY UPDATE OF w
  ),
  moved AS (
    UPDATE workspaces w SET
      last_traffic_at = now(),
      last_outbound_at = CASE WHEN p.sent THEN now() ELSE w.last_outbound_at END
    FROM party p WHERE w.id = p.id
  )
  SELECT i.ord::int AS ord, j.refused_by FROM input i LEFT JOIN judged j ON j.ord = i.ord`,
  result: (row) => row?.refused_by ?? undefined,
}

/** The oldest that nobody has, or had and did not acknowledge in time. What does not fit waits for the next call. */
export const takeMessages = `
  WITH due AS MATERIALIZED (
    SELECT a.id, a.seq, COALESCE(a.body_bytes, octet_length(a.request_body::text), 0) AS bytes
    FROM activity_logs a
    WHERE a.workspace_id = $1 AND a.status = 'queued'
      AND (a.handed_out_at IS NULL OR a.handed_out_at < now() - make_interval(secs => $3))
    ORDER BY a.seq LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
  ),
  fit AS (
    SELECT d.id FROM (SELECT id, bytes, sum(bytes) OVER (ORDER BY seq) AS so_far FROM due) d
    WHERE d.so_far <= ${takenBytes} OR d.so_far = d.bytes
  ),
  taken AS (
    UPDATE activity_logs a SET handed_out_at = now() FROM fit f WHERE a.id = f.id
    RETURNING a.id, a.seq, a.source_id, a.method, a.request_body::text AS body, a.created_at
  ),
  fetched AS (
    UPDATE workspaces w SET last_traffic_at = now() WHERE w.id = $1 AND EXISTS (SELECT FROM taken)
  )
  SELECT t.id, t.source_id, t.method, t.body, t.created_at FROM taken t ORDER BY t.seq`

export const waitingBytes = 'SELECT bytes FROM workspace_inboxes WHERE workspace_id = $1'

export interface TakenRow {
  readonly id: string
  readonly source_id: string | null
  readonly method: string
  readonly body: string | null
  readonly created_at: Date
}

export const messageOf = (row: TakenRow): QueuedMessage => ({
  id: row.id,
  from: row.source_id === null ? undefined : workspaceId(row.source_id),
  method: row.method,
  body: row.body ?? 'null',
  at: row.created_at,
})

/** The body was kept for the agent alone. */
export const acknowledge = `
  WITH done AS (
    UPDATE activity_logs a SET status = 'ok', request_body = NULL
    WHERE a.workspace_id = $1 AND a.id = ANY ($2::uuid[]) AND a.status = 'queued'
    RETURNING 1
  )
  SELECT count(*)::int AS count FROM done`
