/**
 * The intent of a resource whose row says that it is out of date, though the API server itself just confirmed it: the store of
 * the API server was put back from a backup, and the row is of changes that were lost with it. The row then follows the
 * resource, its generation goes down, and one that was removed begins its life anew under the same id: without a launch,
 * so that the next one mints a token.
 */
import { assign, born, canvas, intended, kinship, list } from './intent.ts'
import { recording } from './record.ts'
import { rawColumns } from './row.ts'
import { resumed } from './schedules.ts'

/** The row that each intent is about: the resource's, removed or not, before one of its id. */
const chosen = `,
  chosen AS MATERIALIZED (
    SELECT ${list([...born.filter(([name]) => name !== 'id'), ...intended, ...canvas, ...kinship], 'i')}, i.claim,
      i.epoch, i.ord,
      COALESCE(
        (SELECT w.id FROM workspaces w WHERE w.owner_uid = i.owner_uid AND w.namespace = i.namespace
          ORDER BY w.status = 'removed', w.id LIMIT 1),
        i.id) AS id
    FROM input i
  )`

/** A column that starts afresh where the row had been removed. */
const anew = (column: string, fresh: string): string =>
  `${column} = CASE o.was WHEN 'removed' THEN ${fresh} ELSE w.${column} END`

const own = (by: string) => `w.owner_uid = ${by}.owner_uid AND w.namespace = ${by}.namespace`

export const recordConfirmed = recording({
  name: 'record_confirmed',
  columns: [['claim', 'text', (i) => i.claim]],
  choose: { tables: chosen, from: 'chosen' },
  refusal: `
      CASE
        WHEN w.id IS NULL THEN CASE i.claim WHEN 'adopt' THEN 'nothingToAdopt' END
        WHEN (${own('i')}) IS NOT TRUE THEN 'foreign'
      END`,
  template: `CASE WHEN i.claim = 'create' OR i.template <> '' OR w.id IS NULL THEN i.template ELSE w.template END`,
  foreign: `w.id IS NOT NULL AND (w.status = 'removed' OR w.observed_generation > i.observed_generation)`,
  take: {
    tables: `,
  overtaken AS MATERIALIZED (
    SELECT j.*, w.status AS was FROM judged j JOIN workspaces w ON w.id = j.id
    WHERE j.verdict = 'recorded' AND j.foreign_row AND ${own('j')} ORDER BY w.id FOR NO KEY UPDATE OF w
  ),
  followed AS (
    UPDATE workspaces w SET
      ${assign(intended, 'o')}, parent_id = o.parent_id, delivery_mode = o.delivery_mode,
      wanted_since = CASE WHEN w.spec_hash <> o.spec_hash THEN now() ELSE w.wanted_since END,
      ${anew('status', 'o.status')}, ${anew('status_since', 'now()')}, ${anew('instance_id', 'NULL')},
      ${anew('launched_hash', 'NULL')}, ${anew('launched_at', 'NULL')}, ${anew('registered_at', 'NULL')},
      ${anew('launch_attempts', '0')}, ${anew('restarts', '0')}, ${anew('wake_requested_at', 'NULL')},
      ${anew('parts_hash', 'NULL')}, ${anew('registration_refusal', 'NULL')},
      leader_epoch = o.epoch, updated_at = now()
    FROM overtaken o WHERE w.id = o.id
    RETURNING ${rawColumns('w')}, w.owner_uid, w.name, w.tier, o.was
  ),
  -- Instance and volumes have their resource again.
  given_back AS (
    DELETE FROM retained_instances r USING followed w WHERE w.was = 'removed' AND r.owner_uid = w.owner_uid
  ),
  resumed AS (
    UPDATE workspace_schedules s SET ${resumed}
    FROM followed w WHERE s.workspace_id = w.id AND w.was = 'removed'
  )`,
    rows: `
    UNION ALL
    SELECT ${rawColumns('w')}, true FROM followed w`,
    events: `
    UNION ALL
    SELECT CASE w.status WHEN 'awaiting_agent' THEN 'WORKSPACE_AWAITING_AGENT' ELSE 'WORKSPACE_PROVISIONING' END, w.id,
      jsonb_build_object('name', w.name, 'tier', w.tier, 'runtime', w.runtime, 'from', w.was)
    FROM followed w WHERE w.was = 'removed'`,
  },
})
