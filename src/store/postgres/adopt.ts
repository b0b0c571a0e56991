/**
 * The intent of a resource that wants a row it did not make. It becomes the resource's with all that the intent does not
 * name; a row that was removed begins its life anew. Which row may be taken is the tenant's own, or an administrator's say:
 *
 *   no owner    left by the system before: an administrator assigned it to the namespace of the intent
 *   removed     a Workspace of the same namespace left it behind, deleted with Retain
 *
 * Every other row is as if it did not exist: what is said of it tells nothing of whether it does.
 */
import { assign, born, canvas, intended, kinship, list } from './intent.ts'
import { recording } from './record.ts'
import { rawColumns } from './row.ts'
import { resumed } from './schedules.ts'

/** Of a row `w`, by an intent under that name. */
const adoptable = (by: string): string => `(CASE
        WHEN w.owner_uid IS NULL THEN w.assigned_namespace = ${by}.namespace
        ELSE w.status = 'removed' AND w.namespace = ${by}.namespace AND w.deletion_policy = 'Retain'
      END) IS TRUE`

/** A row that the namespace of the intent may know of, beside those that it may take. */
const known = `w.owner_uid IS NOT NULL AND w.namespace = i.namespace AND w.status <> 'removed'`

/**
 * The row that each intent is about: the one that is the resource's already; the one it asks for, if its namespace may
 * know of it; else one of the resource's own id. Of two that would take one row in one batch the first does.
 */
const chosen = `,
  picked AS MATERIALIZED (
    SELECT ${list([...born.filter(([name]) => name !== 'id'), ...intended, ...canvas, ...kinship], 'i')}, i.claim,
      i.epoch, i.ord,
      COALESCE(
        (SELECT w.id FROM workspaces w WHERE w.owner_uid = i.owner_uid AND w.namespace = i.namespace
          ORDER BY w.status = 'removed', w.id LIMIT 1),
        (SELECT w.id FROM workspaces w WHERE w.id = i.adopts AND (${adoptable('i')} OR ${known})),
        i.id) AS id
    FROM input i
  ),
  chosen AS MATERIALIZED (
    SELECT p.*, row_number() OVER (PARTITION BY p.id ORDER BY p.owner_uid) AS turn FROM picked p
  )`

/** A column that starts afresh where the row had been removed. */
const anew = (column: string, fresh: string): string =>
  `${column} = CASE a.was WHEN 'removed' THEN ${fresh} ELSE w.${column} END`

/**
 * nothingToAdopt   there is no row that may be taken, and none is to be made
 * owned            a live row of another of the namespace
 * contradicts      one of another runtime or backend: later, when it is the resource's, its runtime may change
 */
const refusal = `
      CASE
        WHEN i.turn > 1 THEN 'stale'
        WHEN w.id IS NULL THEN CASE i.claim WHEN 'adopt' THEN 'nothingToAdopt' END
        WHEN w.owner_uid = i.owner_uid THEN
          CASE WHEN w.namespace <> i.namespace OR w.observed_generation > i.observed_generation
            OR w.status = 'removed' THEN 'stale' END
        WHEN NOT ${adoptable('i')} THEN CASE WHEN ${known} THEN 'owned' ELSE 'stale' END
        WHEN (w.runtime, w.backend) <> (i.runtime, i.backend) THEN 'contradicts'
      END`

export const recordAdopting = recording({
  name: 'record_adopting',
  columns: [
    ['claim', 'text', (i) => i.claim],
    ['adopts', 'uuid', (i) => i.adopts],
  ],
  choose: { tables: chosen, from: 'chosen' },
  refusal,
  template: `
      CASE
        WHEN i.template <> '' OR w.id IS NULL THEN i.template
        -- The system before did not always write it down: empty then means that it is not known.
        WHEN w.owner_uid IS NULL THEN NULLIF(w.template, '')
        ELSE w.template
      END`,
  foreign: 'w.id IS NOT NULL AND w.owner_uid IS DISTINCT FROM i.owner_uid',
  take: {
    tables: `,
  adoptees AS MATERIALIZED (
    SELECT j.*, w.status AS was, w.owner_uid AS owner_before FROM judged j JOIN workspaces w ON w.id = j.id
    WHERE j.verdict = 'recorded' AND j.foreign_row AND ${adoptable('j')} ORDER BY w.id FOR NO KEY UPDATE OF w
  ),
  adopted AS (
    UPDATE workspaces w SET
      ${assign(intended, 'a')}, parent_id = a.parent_id, owner_uid = a.owner_uid, namespace = a.namespace, wanted_since = now(),
      legacy = w.legacy OR w.owner_uid IS NULL, assigned_namespace = NULL,
      ${anew('status', 'a.status')}, ${anew('status_since', 'now()')}, ${anew('delivery_mode', 'a.delivery_mode')},
      ${anew('launched_hash', 'NULL')}, ${anew('launched_at', 'NULL')}, ${anew('registered_at', 'NULL')},
      ${anew('launch_attempts', '0')}, ${anew('restarts', '0')}, ${anew('wake_requested_at', 'NULL')},
      registration_refusal = NULL,
      leader_epoch = a.epoch, updated_at = now()
    FROM adoptees a WHERE w.id = a.id
    RETURNING ${rawColumns('w')}, w.name, a.was, a.owner_before
  ),
  -- The agent's own schedules, too: they waited while there was nobody to run them.
  resumed AS (
    UPDATE workspace_schedules s SET ${resumed}
    FROM adopted w WHERE s.workspace_id = w.id AND w.was = 'removed'
  )`,
    rows: `
    UNION ALL
    SELECT ${rawColumns('w')}, true FROM adopted w`,
    events: `
    UNION ALL
    SELECT 'WORKSPACE_ADOPTED', w.id,
      jsonb_build_object('name', w.name, 'from', w.was, 'status', w.status, 'owner_before', w.owner_before)
    FROM adopted w`,
  },
})
