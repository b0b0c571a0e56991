/**
 * The intent row: one statement that judges every intent of a batch, and writes those that are in order and differ. Most
 * only ever create or renew a row of their own; what adopts rows of others (adopt.ts) is a statement of its own, so that
 * those do not pay for it.
 */
import type { Recorded, WorkspaceIntent } from '../workspace-store.ts'
import { assign, born, canvas, intended, kinship, list, namesOf } from './intent.ts'
import { rawColumns, sentColumns, toWorkspaceRow, type SentRow } from './row.ts'
import type { Column, Statement } from './statement.ts'

/** Where a statement that adopts says more than one that does not. `i` is the input, `w` the row of its id, if any. */
export interface Variant {
  readonly name: string
  /** CTEs before the judgement, and the relation of the intents, with the id of the row that each is about. */
  readonly choose: { readonly tables: string; readonly from: string }
  readonly columns: readonly Column<WorkspaceIntent>[]
  /** The verdict on an intent that may not be recorded whatever its name and parent, else NULL. */
  readonly refusal: string
  /** The template that the row is to have. */
  readonly template: string
  /** Whether the row is there and not (yet) the resource's. */
  readonly foreign: string
  /** CTEs that write, a query of the rows they wrote, and one of the events to tell; the last two begin with UNION ALL. */
  readonly take: { readonly tables: string; readonly rows: string; readonly events: string }
}

const parent = 'CASE WHEN i.keeps_parent THEN w.parent_id ELSE i.parent_row END'
/** What the row gets as the intent has it. */
const plain = intended.filter(([name]) => name !== 'template')

/**
 * How an intent is judged, worst first:
 *   refusal        `stale`: another owner, a newer generation, or removed; and what adopt.ts adds
 *   parentMissing  the parent, found by its owner's UID in the namespace of the intent, has no live row and does not get
 *                  one here. A row that had this parent all along keeps it, also when the parent is removed meanwhile: the
 *                  child goes on running. A parent of another namespace is none, also one that the row has already
 *   siblingTaken   a live sibling has the name; of two in this batch, the one with a row, else the smaller id, wins
 * Correlated subqueries on purpose: they stay index look-ups, whatever the planner believes of the table's size.
 */
const judge = ({ refusal, template, foreign, choose }: Variant): string => `${choose.tables},
  kin AS MATERIALIZED (
    SELECT i.*, COALESCE(
        (SELECT p.id FROM workspaces p WHERE p.owner_uid = i.parent_owner_uid AND p.namespace = i.namespace
          ORDER BY p.status = 'removed', p.id LIMIT 1),
        q.id) AS parent_row
    FROM ${choose.from} i LEFT JOIN (
      SELECT DISTINCT ON (owner_uid, namespace) owner_uid, namespace, id FROM ${choose.from}
    ) q ON q.owner_uid = i.parent_owner_uid AND q.namespace = i.namespace
  ),
  seen AS MATERIALIZED (
    SELECT ${list([...born, ...plain, ...canvas], 'i')}, i.epoch, i.ord,
      ${template} AS template, ${parent} AS parent_id,
      w.id IS NOT NULL AS known,
      ${foreign} AS foreign_row,
      ${refusal} AS refusal,
      (${list(plain, 'w')}, w.template, w.parent_id) IS DISTINCT FROM
        (${list(plain, 'i')}, ${template}, ${parent}) AS differs,
      CASE
        WHEN i.keeps_parent
          THEN (SELECT p.namespace = i.namespace FROM workspaces p WHERE p.id = w.parent_id) IS TRUE
        ELSE i.parent_owner_uid IS NULL OR (w.parent_id = i.parent_row) IS TRUE
          OR (SELECT p.status <> 'removed' FROM workspaces p WHERE p.id = i.parent_row) IS TRUE
      END AS rooted,
      (SELECT s.id FROM workspaces s
        WHERE COALESCE(s.parent_id, '00000000-0000-0000-0000-000000000000'::uuid)
            = COALESCE(${parent}, '00000000-0000-0000-0000-000000000000'::uuid)
          AND s.namespace = i.namespace AND s.name = i.name AND s.status <> 'removed' AND s.id <> i.id) AS taken_by
    FROM kin i LEFT JOIN workspaces w ON w.id = i.id
  ),
  free AS MATERIALIZED (
    SELECT s.id, s.parent_id, s.namespace, s.rooted,
      first_value(s.id) OVER (PARTITION BY s.parent_id, s.namespace, s.name ORDER BY s.known DESC, s.id) AS first_id
    FROM seen s WHERE s.refusal IS NULL AND s.taken_by IS NULL AND (s.rooted OR s.parent_id IS NOT NULL)
  ),
  -- From the roots down: a parent in this batch counts as soon as it is in order itself.
  placed AS (
    SELECT f.id, f.namespace FROM free f WHERE f.rooted AND f.first_id = f.id
    UNION
    SELECT f.id, f.namespace FROM free f JOIN placed p ON f.parent_id = p.id AND f.namespace = p.namespace
    WHERE f.first_id = f.id
  ),
  judged AS MATERIALIZED (
    SELECT v.*, CASE v.verdict
        WHEN 'siblingTaken' THEN COALESCE(v.taken_by, v.first_id)
        WHEN 'owned' THEN v.id
        WHEN 'contradicts' THEN v.id
      END AS winner
    FROM (
      SELECT s.*, f.first_id,
        CASE
          WHEN s.refusal IS NOT NULL THEN s.refusal
          WHEN s.id IN (SELECT id FROM placed) THEN 'recorded'
          WHEN NOT s.rooted AND (s.parent_id IS NULL
            OR (s.parent_id, s.namespace) NOT IN (SELECT id, namespace FROM placed)) THEN 'parentMissing'
          ELSE 'siblingTaken'
        END AS verdict
      FROM seen s LEFT JOIN free f ON f.id = s.id
    ) v
  )`

/**
 * What is in order and differs is written; the rest is not touched, not even locked. The guards stand a second time
 * in DO UPDATE, for what happened since the look. An agent's own word on its delivery stands until the spec changes.
 */
const write = ({ take, choose }: Variant): string => `,
  written AS (
    INSERT INTO workspaces AS w (${namesOf([...born, ...intended]).join(', ')}, parent_id, leader_epoch)
    SELECT ${list([...born, ...intended], 'j')}, j.parent_id, j.epoch
    FROM judged j
    WHERE j.verdict = 'recorded' AND NOT j.foreign_row AND (j.differs OR NOT j.known) ORDER BY j.id
    ON CONFLICT (id) DO UPDATE SET
      ${assign(intended, 'EXCLUDED')}, parent_id = EXCLUDED.parent_id,
      delivery_mode = CASE WHEN w.observed_generation < EXCLUDED.observed_generation
        THEN EXCLUDED.delivery_mode ELSE w.delivery_mode END,
      wanted_since = CASE WHEN w.spec_hash <> EXCLUDED.spec_hash THEN now() ELSE w.wanted_since END,
      leader_epoch = EXCLUDED.leader_epoch, updated_at = now()
    WHERE w.owner_uid = EXCLUDED.owner_uid AND w.observed_generation <= EXCLUDED.observed_generation
      AND w.status <> 'removed'
    RETURNING ${rawColumns('w')}, w.name, w.tier, w.xmax = 0 AS inserted
  )${take.tables},
  standing AS MATERIALIZED (
    SELECT ${rawColumns('w')}, true AS changed FROM written w${take.rows}
    UNION ALL
    SELECT ${rawColumns('w')}, false FROM judged j JOIN workspaces w ON w.id = j.id
    WHERE j.verdict = 'recorded' AND j.known AND NOT j.foreign_row AND NOT j.differs
  ),
  told AS (
    INSERT INTO structure_events (event_type, workspace_id, payload)
    SELECT CASE w.status WHEN 'awaiting_agent' THEN 'WORKSPACE_AWAITING_AGENT' ELSE 'WORKSPACE_PROVISIONING' END, w.id,
      jsonb_build_object('name', w.name, 'tier', w.tier, 'runtime', w.runtime)
    FROM written w WHERE w.inserted${take.events}
  ),
  drawn AS (
    INSERT INTO canvas_layouts AS c (workspace_id, x, y, collapsed)
    SELECT j.id, j.canvas_x, j.canvas_y, j.canvas_collapsed
    FROM standing s JOIN judged j ON j.id = s.id LEFT JOIN canvas_layouts o ON o.workspace_id = j.id
    WHERE j.verdict = 'recorded' AND j.canvas_x IS NOT NULL
      AND (o.x, o.y, o.collapsed) IS DISTINCT FROM (j.canvas_x, j.canvas_y, j.canvas_collapsed)
    ORDER BY j.id
    ON CONFLICT (workspace_id) DO UPDATE SET x = EXCLUDED.x, y = EXCLUDED.y, collapsed = EXCLUDED.collapsed
    RETURNING c.workspace_id
  )
  SELECT j.ord::int AS ord, j.verdict, ${sentColumns('s')}, s.changed OR d.workspace_id IS NOT NULL AS changed,
    COALESCE(t.resource_name, b.resource_name) AS winner_name, t.runtime AS winner_runtime, t.backend AS winner_backend
  FROM judged j LEFT JOIN standing s ON s.id = j.id LEFT JOIN drawn d ON d.workspace_id = j.id
    LEFT JOIN workspaces t ON t.id = j.winner LEFT JOIN ${choose.from} b ON b.id = j.winner`

interface RecordedRow extends SentRow {
  verdict: Recorded['kind']
  changed: boolean
  winner_name: string | null
  winner_runtime: string | null
  winner_backend: string | null
}

/** What became of an intent, and whose it was: of two owners at one row in one batch only one is written. */
export interface Judgement {
  readonly ownerUid: string
  readonly recorded: Recorded
}

export const recording = (variant: Variant): Statement<WorkspaceIntent, RecordedRow, Judgement> => ({
  name: variant.name,
  key: (intent) => intent.id,
  columns: [...born, ...intended, ...canvas, ...kinship, ...variant.columns],
  sql: judge(variant) + write(variant),
  result: (row, intent) => ({ ownerUid: intent.ownerUid, recorded: row ? recordedOf(row, intent) : stale }),
})

export const record = recording({
  name: 'record',
  columns: [],
  choose: { tables: '', from: 'input' },
  refusal: `CASE WHEN w.owner_uid IS DISTINCT FROM i.owner_uid AND w.id IS NOT NULL
        OR w.observed_generation > i.observed_generation OR w.status = 'removed' THEN 'stale' END`,
  template: 'i.template',
  foreign: 'false',
  take: { tables: '', rows: '', events: '' },
})

const stale: Recorded = { kind: 'stale' }

function recordedOf(row: RecordedRow, intent: WorkspaceIntent): Recorded {
  switch (row.verdict) {
    case 'recorded':
      // In order when we looked, gone to another when we wrote.
      if (row.id === null) return stale
      return { kind: 'recorded', row: toWorkspaceRow({ ...row, id: row.id }), changed: row.changed }
    case 'siblingTaken':
    case 'owned':
      return { kind: row.verdict, by: row.winner_name ?? '' }
    case 'contradicts': {
      const field = row.winner_runtime === intent.runtime ? 'backend' : 'runtime'
      const found = field === 'backend' ? row.winner_backend : row.winner_runtime
      return { kind: 'contradicts', field, row: found ?? '', spec: intent[field] }
    }
    case 'parentMissing':
    case 'stale':
    case 'foreign':
    case 'nothingToAdopt':
      return { kind: row.verdict }
  }
}
