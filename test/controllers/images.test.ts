/** What a place that runs images adds to the life of a Workspace: new images, and instances that others made. */
import { randomBytes } from 'node:crypto'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import type { Workspace } from '../../src/api/workspace.ts'
import { openScene, restartAt } from '../incidents/scene.ts'
import { until } from '../support/until.ts'
import { conditionOf, messageOf, removeRuntimes, runtime } from '../support/workspaces.ts'

const engine = new FakeBackend({ name: 'docker', onRunning: registerAt })
const scene = await openScene({ more: [engine] })
const { cluster, make, query, row, settles } = scene
const fleet = `fleet-${randomBytes(4).toString('hex')}`
afterAll(async () => {
  await removeRuntimes(cluster, fleet)
})

describe('a new image', () => {
  const names = ['c1', 'p1', 'p2', 'p3', 'p4', 'p5']
  const digest = (digit: string) => `sha256:${digit.repeat(64)}`
  const promote = (to: string, soak = '1s') =>
    cluster.apply([runtime(fleet, { image: 'test/fleet:1', digest: digest(to), soak, maxUnavailable: 2 })])

  test('reaches the canary first, then the others, never more than maxUnavailable at once', async () => {
    await promote('0')
    const ring = (name: string) => (name.startsWith('c') ? 'canary' : 'production')
    for (const name of names) await make(name, { runtime: fleet, backend: 'docker', updateRing: ring(name) })
    const uids = new Map<string, string>()
    for (const name of names) uids.set(name, (await settles(name, 'Ready', 'True Settled')).metadata.uid)
    let fewest = names.length
    const sampling = setInterval(() => {
      fewest = Math.min(fewest, [...uids.values()].filter((uid) => engine.has(uid)).length)
    }, 1)
    onTestFinished(() => clearInterval(sampling))
    await promote('a', '1h')
    const proved = await settles('c1', 'ImageCurrent', 'True ImageCurrent')
    const stale = await settles('p1', 'ImageCurrent', 'False ImageStale')
    expect(messageOf(stale.status, 'ImageCurrent')).toMatch(/canaries/)
    await until(async () => {
      const { status } = (await cluster.getJson('runtime', fleet)) as Workspace
      return conditionOf(status, 'ImageCurrent') === 'False ImageStale'
    })
    expect(names.map((name) => engine.creates.get(uids.get(name) ?? ''))).toEqual([2, 1, 1, 1, 1, 1])
    const age = Date.now() - Date.parse(proved.status?.instance?.startedAt ?? '')
    await promote('a', `${Math.ceil(age / 1000) + 2}s`)
    await until(() => names.every((name) => engine.creates.get(uids.get(name) ?? '') === 2), { within: 60_000 })
    for (const name of names) await settles(name, 'ImageCurrent', 'True ImageCurrent')
    expect(fewest).toBeGreaterThanOrEqual(names.length - 2)
  })

  test('that cannot be had leaves what runs alone, and says so', async () => {
    engine.setImage(`test/fleet@${digest('b')}`, 'missing')
    await promote('b')
    const kept = await settles('c1', 'ImageCurrent', 'False ImageUnavailable')
    expect(conditionOf(kept.status, 'Ready')).toBe('True Settled')
    expect(engine.has(kept.metadata.uid)).toBe(true)
    expect(engine.creates.get(kept.metadata.uid)).toBe(2)
    await promote('a')
    await settles('c1', 'ImageCurrent', 'True ImageCurrent')
  })
})

describe('adoption', () => {
  const legacy = '11111111-2222-4333-8444-555555555555'
  test('a row that nobody owns becomes this resource, keeps its id, and is not replaced until its template is told', async () => {
    const container = engine.stranger()
    await query(
      `INSERT INTO workspaces (id, name, tier, status, runtime, model, namespace, resource_name, backend, template,
         observed_generation, spec_hash, leader_epoch, instance_id)
       VALUES ($1, 'heir', 3, 'online', $3, 'sonnet', '', '', 'docker', NULL, 0, '', 0, $2)`,
      [legacy, container, scene.runtimeName],
    )
    await make('heir', { backend: 'docker', adopt: { workspaceID: legacy } })
    const early = await settles('heir', 'Recorded', 'False NothingToAdopt')
    expect(messageOf(early.status, 'Recorded')).toContain(`${legacy}: there is no row that this namespace may adopt`)
    await query('UPDATE workspaces SET assigned_namespace = $2 WHERE id = $1', [legacy, scene.ns])
    const heir = await settles('heir', 'TemplateKnown', 'False TemplateUnknown')
    expect(heir.status?.workspaceID).toBe(legacy)
    expect(await row(legacy)).toMatchObject({ owner_uid: heir.metadata.uid, instance_id: container })
    expect(engine.has(heir.metadata.uid)).toBe(true)
    expect(engine.creates.get(heir.metadata.uid)).toBeUndefined()
    await scene.edit('heir', restartAt('now'))
    await scene.looked('heir')
    expect(engine.creates.get(heir.metadata.uid)).toBeUndefined()
  })

  test('AdoptOnly waits for a row that is not there; a row of another is refused', async () => {
    await make('waiter', { adopt: { workspaceID: '99999999-2222-4333-8444-555555555555' } })
    await settles('waiter', 'Recorded', 'False NothingToAdopt')
    await make('thief', { backend: 'docker', adopt: { workspaceID: legacy } })
    const thief = await settles('thief', 'Recorded', 'False AdoptionRefused')
    expect(messageOf(thief.status, 'Ready')).toContain('"heir"')
  })

  test('a running container is taken over without a restart; one that is not there is refused', async () => {
    const container = engine.stranger('', 'fedcba987654')
    const id = '22222222-2222-4333-8444-555555555555'
    await query(
      `INSERT INTO workspaces (id, name, status, runtime, model, namespace, resource_name, backend, observed_generation,
         spec_hash, leader_epoch, instance_id) VALUES ($1, 'left', 'online', 'r', 'm', '', '', 'docker', 0, '', 0, $2)`,
      [id, container],
    )
    // Unassigned, it is as one that is not there.
    for (const [name, containerID] of [
      ['thief', container],
      ['lost', '0123456789ab'],
    ] as const) {
      await make(`${name}-of-container`, { backend: 'docker', adopt: { containerID } })
      const refused = await settles(`${name}-of-container`, 'Ready', 'False AdoptionRefused')
      const message = `${containerID}: there is no container that this namespace may adopt`
      expect(messageOf(refused.status, 'Stalled')).toContain(message)
      expect(engine.has(refused.metadata.uid)).toBe(false)
      expect(engine.creates.get(refused.metadata.uid)).toBeUndefined()
    }
    await query('UPDATE workspaces SET assigned_namespace = $2 WHERE id = $1', [id, scene.ns])
    await make('heiress', { backend: 'docker', adopt: { containerID: container } })
    // It has no token of ours: until it gets one it serves those who know its address, and is not connected.
    const heiress = await settles('heiress', 'Connected', 'False AwaitingRegistration')
    expect(conditionOf(heiress.status, 'Launched')).toBe('True Running')
    expect(heiress.status?.instance?.id).toBe(container)
    expect(await row(heiress.metadata.uid)).toMatchObject({ instance_id: container, launch_attempts: 0 })
    expect(engine.creates.get(heiress.metadata.uid)).toBeUndefined()
  })
})
