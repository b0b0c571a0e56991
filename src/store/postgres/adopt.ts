/**
 * The intent of a resource that wants a row it did not make: one that nobody owns, or that was removed. It becomes the
 * resource's with all that the intent does not name; a row that was removed begins its life anew.
 */
import { assign, intended } from './intent.ts'
import { recording } from './record.ts'
import { rawColumns } from './row.ts'

const adoptable = `(w.owner_uid IS NULL OR w.status = 'removed')`

/** A column that starts afresh where the row had been removed. */
const anew = (column: string, fresh: string): string =>
  `${column} = CASE a.was WHEN 'removed' THEN ${fresh} ELSE w.${column} END`

/**
 * nothingToAdopt   there is no row, and none is to be made
 * owned            a live row of another
 * contradicts      one of another runtime or backend: later, when it is the resource's, its runtime may change
 */
const refusal = `
      CASE
        WHEN w.id IS NULL THEN CASE i.claim WHEN 'adopt' THEN 'nothingToAdopt' END
        WHEN w.owner_uid = i.owner_uid THEN
          CASE WHEN w.observed_generation > i.observed_generation OR w.status = 'removed' THEN 'stale' END
        WHEN NOT ${adoptable} THEN 'owned'
        WHEN (w.runtime, w.backend) <> (i.runtime, i.backend) THEN 'contradicts'
      END`

export const recordAdopting = recording({
  name: 'record_adopting',
  columns: [['claim', 'text', (i) => i.claim]],
  refusal,
  template: `
      CASE
        WHEN i.template <> '' OR w.id IS NULL THEN i.template
        -- The system before did not always write it down: empty then means that nobody knows.
        WHEN w.owner_uid IS NULL THEN NULLIF(w.template, '')
        ELSE w.template
      END`,
  foreign: 'w.id IS NOT NULL AND w.owner_uid IS DISTINCT FROM i.owner_uid',
  take: {
    tables: `,
  adoptees AS MATERIALIZED (
    SELECT j.*, w.status AS was, w.owner_uid AS owner_before FROM judged j JOIN workspaces w ON w.id = j.id
    WHERE j.verdict = 'recorded' AND j.foreign_row AND ${adoptable} ORDER BY w.id FOR NO KEY UPDATE OF w
  ),
  adopted AS (
    UPDATE workspaces w SET
      ${assign(intended, 'a')}, parent_id = a.parent_id, owner_uid = a.owner_uid, namespace = a.namespace, wanted_since = now(),
      ${anew('status', 'a.status')}, ${anew('status_since', 'now()')}, ${anew('delivery_mode', 'a.delivery_mode')},
      ${anew('launched_hash', 'NULL')}, ${anew('launched_at', 'NULL')}, ${anew('registered_at', 'NULL')},
      ${anew('launch_attempts', '0')}, ${anew('restarts', '0')}, ${anew('wake_requested_at', 'NULL')},
      leader_epoch = a.epoch, updated_at = now()
    FROM adoptees a WHERE w.id = a.id
    RETURNING ${rawColumns('w')}, w.name, a.was, a.owner_before
  ),
  -- The agent's own schedules, too: they waited while there was nobody to run them.
  resumed AS (
    UPDATE workspace_schedules s SET next_run_at = NULL, reckoned_from = now()
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
