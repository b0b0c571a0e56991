/** Incidents in which somebody acted on what he did not know, or believed an answer that was none. */
import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { InstanceSpec } from '../../src/backends/backend.ts'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { milliseconds } from '../../src/duration.ts'
import { RetryAfter } from '../../src/errors.ts'
import { until } from '../support/until.ts'
import { conditionOf } from '../support/workspaces.ts'
import { openScene, restartAt, stays } from './scene.ts'

/** Registers, and beats more often than the short silence allows; the tasks that `phantom` has are not its own. */
function lively(spec: InstanceSpec, ended: AbortSignal): void {
  registerAt(spec, ended)
  if (spec.ref.name === 'phantom') return
  const beating = setInterval(() => void scene.beat(spec.ref.uid, spec.token).catch(() => undefined), 500)
  beating.unref()
  ended.addEventListener('abort', () => clearInterval(beating))
}

const elsewhere = new FakeBackend({ name: 'docker', onRunning: lively })
const scene = await openScene({
  env: { LIVENESS_SILENCE: '2s', BACKENDS: 'external,fake,docker' },
  more: [elsewhere],
  agent: (spec, ended) => {
    const { name } = spec.ref
    if (name.startsWith('silent')) return
    if (!name.startsWith('slow')) return lively(spec, ended)
    void wait(6_000, undefined, { signal: ended }).then(
      () => lively(spec, ended),
      () => undefined,
    )
  },
})
const { backend, make, settles, edit, remove, row } = scene

/** As if they had been launched a while ago: the first seconds after a launch hold every other one back. */
const aged = (...uids: readonly string[]) =>
  scene.query(`UPDATE workspaces SET launched_at = now() - interval '1 minute' WHERE id = ANY($1)`, [uids])

describe('a backend that says nothing, or no', () => {
  test('incident-01: six agents at a backend that is too busy to answer are left alone', async () => {
    const names = Array.from({ length: 6 }, (_, i) => `busy-${i}`)
    await Promise.all(names.map((name) => make(name)))
    const uids = await Promise.all(
      names.map(async (name) => (await settles(name, 'Ready', 'True Settled')).metadata.uid),
    )
    const tokens = uids.map((uid) => backend.volumes.get(uid)?.get('.auth_token') ?? '')
    await aged(...uids)
    const heal = backend.fail('observe', new Error('i/o timeout'), Number.POSITIVE_INFINITY)
    const looks = await Promise.all(names.map((name) => scene.looked(name)))
    for (const { status } of looks) expect(conditionOf(status, 'Launched')).toBe('Unknown BackendUnreachable')
    heal()
    await Promise.all(names.map((name) => scene.looked(name)))
    for (const name of names) await settles(name, 'Ready', 'True Settled')
    for (const uid of uids) expect([backend.creates.get(uid), backend.removes.get(uid)]).toEqual([1, undefined])
    for (const [i, uid] of uids.entries()) expect(await scene.beat(uid, tokens[i] ?? '')).toBe(200)
  })

  test('incident-03: an instance is paused and removed on the backend on which it lives', async () => {
    await make('there', { backend: 'docker' })
    const { uid } = (await settles('there', 'Ready', 'True Settled')).metadata
    expect([elsewhere.has(uid), backend.has(uid)]).toEqual([true, false])
    await edit('there', { spec: { power: 'Paused' } })
    await settles('there', 'Ready', 'True Paused')
    expect(elsewhere.has(uid)).toBe(false)
    await edit('there', { spec: { power: 'Running' } })
    await settles('there', 'Ready', 'True Settled')
    await remove('there')
    await scene.gone('there')
    expect([elsewhere.has(uid), elsewhere.volumes.has(uid)]).toEqual([false, false])
  })

  test.each([
    ['incident-04', new Error('the stop failed')],
    ['incident-05', new RetryAfter(milliseconds(300), 'the engine answered 500')],
  ])('%s: a removal that fails is tried again; the object stays until it is proved', async (number, error) => {
    await make(number)
    const { uid } = (await settles(number, 'Ready', 'True Settled')).metadata
    const heal = backend.fail('remove', error, Number.POSITIVE_INFINITY)
    await remove(number)
    await until(async () => (await row(uid))?.['status'] === 'removed')
    await stays(async () => [(await scene.get(number)).metadata.finalizers?.length, backend.has(uid)], 1_500)
    heal()
    await scene.gone(number)
    expect([backend.has(uid), backend.volumes.has(uid), backend.removes.get(uid)]).toEqual([false, false, 1])
  })

  test('incident-06, incident-31: a deletion goes on when whoever asked is gone and the operator was restarted', async () => {
    await make('left')
    const { uid } = (await settles('left', 'Ready', 'True Settled')).metadata
    const heal = backend.fail('remove', new RetryAfter(milliseconds(300), 'busy'), Number.POSITIVE_INFINITY)
    await scene.cluster.kubectl(['delete', 'ws', 'left', '-n', scene.ns, '--wait=false'])
    await until(async () => (await row(uid))?.['status'] === 'removed')
    // Whoever looks next finds everything said to be over, but for the instance.
    await until(async () => (await scene.get('left')).status?.phase === 'removed')
    await scene.restarted(async () => heal())
    await scene.gone('left')
    expect([backend.has(uid), backend.volumes.has(uid), (await row(uid))?.['status']]).toEqual([
      false,
      false,
      'removed',
    ])
  })
})

describe('an agent that is not there yet', () => {
  test('incident-14: however often one looks, what is on its way is not started again', async () => {
    await make('silent-boot')
    const { uid } = (await settles('silent-boot', 'Launched', 'True Running')).metadata
    const token = backend.volumes.get(uid)?.get('.auth_token')
    await aged(uid)
    for (let look = 0; look < 5; look++) await scene.looked('silent-boot')
    expect([backend.creates.get(uid), backend.removes.get(uid)]).toEqual([1, undefined])
    expect(backend.volumes.get(uid)?.get('.auth_token')).toBe(token)
    expect(await row(uid)).toMatchObject({ status: 'provisioning', restarts: 0, launch_attempts: 1 })
  })

  test('incident-21: a long boot outlives every watcher but the deadline of its own runtime', async () => {
    await make('slow')
    const { uid } = (await settles('slow', 'Ready', 'True Settled')).metadata
    const events = await scene.query(
      'SELECT event_type FROM structure_events WHERE workspace_id = $1 ORDER BY created_at, id LIMIT 2',
      [uid],
    )
    expect(events.map(({ event_type }) => event_type)).toEqual(['WORKSPACE_PROVISIONING', 'WORKSPACE_ONLINE'])
    expect(backend.creates.get(uid)).toBe(1)
  })

  test('incident-22: an agent of which only beats arrive is ready all the same, if messages reach it; if not, it says why', async () => {
    await make('silent-pusher')
    const pusher = (await settles('silent-pusher', 'Launched', 'True Running')).metadata.uid
    await until(async () => {
      expect(await scene.beat(pusher, backend.volumes.get(pusher)?.get('.auth_token') ?? '')).toBe(200)
      const { status } = await scene.get('silent-pusher')
      expect(conditionOf(status, 'Connected')).toBe('False NotRegistered')
      expect(status?.summary).toBe('The agent has been heard of, but has not registered: no message reaches it')
      return true
    })
    expect(await row(pusher)).toMatchObject({ status: 'provisioning' })
    await remove('silent-pusher')
    await make('silent-beater', { delivery: 'poll' })
    const { uid } = (await settles('silent-beater', 'Launched', 'True Running')).metadata
    // More than one, since whoever is silent for two seconds may be called so before anybody looks.
    await until(async () => {
      expect(await scene.beat(uid, backend.volumes.get(uid)?.get('.auth_token') ?? '')).toBe(200)
      expect(conditionOf((await scene.get('silent-beater')).status, 'Ready')).toBe('True Settled')
      return true
    })
  })

  test('incident-29: tasks that never end are told, and neither repaired nor restarted', async () => {
    await make('phantom')
    const { uid } = (await settles('phantom', 'Launched', 'True Running')).metadata
    await until(async () => ((await row(uid))?.['registered_at'] ?? null) !== null)
    const ago = `now() - interval '11 minutes'`
    await scene.query(
      `UPDATE workspaces SET active_tasks = 1, busy_since = ${ago}, last_traffic_at = ${ago}, registered_at = ${ago}
       WHERE id = $1`,
      [uid],
    )
    await scene.looked('phantom')
    await settles('phantom', 'BusyTooLong', 'True NoTraffic')
    expect(await row(uid)).toMatchObject({ active_tasks: 1, restarts: 0 })
    expect(backend.creates.get(uid)).toBe(1)
  })
})

test('incident-18: a restart of what is being deleted starts nothing', async () => {
  await make('doomed')
  const { uid } = (await settles('doomed', 'Ready', 'True Settled')).metadata
  const heal = backend.fail('remove', new RetryAfter(milliseconds(300), 'busy'), Number.POSITIVE_INFINITY)
  await remove('doomed')
  await until(async () => (await row(uid))?.['status'] === 'removed')
  await edit('doomed', restartAt('now'))
  await stays(async () => [(await row(uid))?.['status'], backend.creates.get(uid), backend.has(uid)], 1_000)
  heal()
  await scene.gone('doomed')
  expect([backend.has(uid), backend.creates.get(uid), (await scene.liveTokens(uid)).length]).toEqual([false, 1, 0])
})
