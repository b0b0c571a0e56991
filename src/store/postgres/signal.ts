/** How a change that the controller did not make itself reaches it: a NOTIFY in the same statement as the change. */
export const channel = 'workspace_changed'

/** CTE that tells of each row of `signalled` (namespace, resource_name); the payload is the resource's key. */
export const notified = `,
  notified AS MATERIALIZED (
    SELECT pg_notify('${channel}', s.namespace || '/' || s.resource_name) AS sent FROM signalled s
  )`

/** To be selected by the statement, since PostgreSQL skips a CTE that nobody reads. */
export const notifiedCount = '(SELECT count(n.sent) FROM notified n)::int AS notified'
