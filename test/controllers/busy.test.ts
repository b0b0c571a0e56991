/** An agent at work without end is restarted where its Runtime says after how long, and by nothing else. */
import { expect, test } from 'vitest'
import { openScene } from '../incidents/scene.ts'
import { until } from '../support/until.ts'
import { runtime } from '../support/workspaces.ts'

const scene = await openScene()
const { backend, cluster, make, query, row, runtimeName, settles } = scene

test('it is told first, restarted once its time is over, and is then as any that has come back', async () => {
  await cluster.apply([runtime(runtimeName, { bootDeadline: '1m', restartBusyAfter: '3s' })])
  await make('toiler')
  const { uid } = (await settles('toiler', 'Ready', 'True Settled')).metadata
  backend.output.set(uid, 'the last words')
  const ago = `now() - interval '11 minutes'`
  await query(
    `UPDATE workspaces SET active_tasks = 1, busy_since = ${ago}, last_traffic_at = ${ago}, registered_at = ${ago}
     WHERE id = $1`,
    [uid],
  )
  await scene.looked('toiler')
  await settles('toiler', 'BusyTooLong', 'True NoTraffic')
  expect(backend.creates.get(uid)).toBe(1)
  await until(() => backend.creates.get(uid) === 2, { within: 30_000 })
  const { status } = await settles('toiler', 'Ready', 'True Settled')
  expect(status?.lastFailure).toMatchObject({ reason: 'NoProgress', logTail: 'the last words' })
  expect(await row(uid)).toMatchObject({ active_tasks: 0, restarts: 1, status: 'online' })
  expect(
    (
      await query(
        `SELECT payload->>'reason' AS reason FROM structure_events WHERE workspace_id = $1
    AND event_type = 'WORKSPACE_PROVISION_FAILED'`,
        [uid],
      )
    ).map(({ reason }) => reason),
  ).toEqual(['NoProgress'])
})
