/** Two namespaces under one operator: what is broken or forged in one holds up nothing in the other. */
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Workspace } from '../../src/api/workspace.ts'
import type { InstanceSpec } from '../../src/backends/backend.ts'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { openScene } from '../incidents/scene.ts'
import { namespace, openNamespace } from '../support/cluster.ts'
import { orgImport, readOrg } from '../support/orgs.ts'
import { patchStatus } from '../support/status-patch.ts'
import { until } from '../support/until.ts'
import { conditionOf, messageOf, readWorkspace, runtime, workspace } from '../support/workspaces.ts'

/** Agents of workspaces whose name begins with `broken` never register. */
const agent = (spec: InstanceSpec, ended: AbortSignal) =>
  spec.ref.name.startsWith('broken') ? undefined : registerAt(spec, ended)
const engine = new FakeBackend({ name: 'docker', onRunning: agent })
const scene = await openScene({ more: [engine], agent, env: { MAX_STARTING: '4' } })
const { cluster, ns, make, settles } = scene
const neighbour = await namespace(cluster)
await openNamespace(neighbour, cluster)

const digest = (digit: string) => `sha256:${digit.repeat(64)}`
const far = { within: 60_000 }

/** Creates a Workspace of the neighbour and waits for the condition. */
async function theirs(name: string, spec: object, type: string, verdict: string): Promise<Workspace> {
  await cluster.apply([workspace(neighbour, name, spec)])
  return await until(async () => {
    const found = await readWorkspace(cluster, neighbour, name)
    expect(conditionOf(found.status, type)).toBe(verdict)
    return found
  }, far)
}

test('a broken canary of another namespace holds up no image, and is named nowhere', async () => {
  const name = `shared-${randomBytes(4).toString('hex')}`
  const promote = (to: string) =>
    cluster.apply([runtime(name, { image: 'test/shared:1', digest: digest(to), soak: '1s' })])
  await promote('0')
  const fleet = { runtime: name, backend: 'docker' }
  await make('lead', fleet)
  const own = await settles('lead', 'Ready', 'True Settled')
  // More than a quarter of all workspaces of the Runtime are down.
  await theirs('broken-canary', { ...fleet, updateRing: 'canary' }, 'Launched', 'True Running')
  await theirs('broken-other', fleet, 'Launched', 'True Running')
  await promote('a')
  await until(() => engine.creates.get(own.metadata.uid) === 2, far)
  const lead = await settles('lead', 'ImageCurrent', 'True ImageCurrent')
  expect(JSON.stringify(lead)).not.toContain(neighbour)
  const shared = await until(async () => {
    const found = (await cluster.getJson('runtime', name)) as Workspace
    expect(conditionOf(found.status, 'ImageCurrent')).toBeDefined()
    return found
  }, far)
  expect(JSON.stringify(shared.status)).not.toMatch(new RegExp(`${neighbour}|broken-|"lead"`))
})

test('canaries of a namespace that the Runtime names prove an image for all, and are counted where they are not known', async () => {
  const name = `proved-${randomBytes(4).toString('hex')}`
  const promote = (to: string) =>
    cluster.apply([
      runtime(name, { image: 'test/proved:1', digest: digest(to), soak: '1s', canaryNamespaces: [neighbour] }),
    ])
  await promote('0')
  const fleet = { runtime: name, backend: 'docker' }
  await make('follower', fleet)
  await settles('follower', 'Ready', 'True Settled')
  await theirs('broken-prober', { ...fleet, updateRing: 'canary' }, 'Launched', 'True Running')
  await promote('a')
  const follower = await settles('follower', 'ImageCurrent', 'False ImageStale')
  expect(messageOf(follower.status, 'ImageCurrent')).toContain('the canaries come first: 1 in other namespaces')
  await cluster.kubectl(['delete', 'workspace', 'broken-prober', '-n', neighbour, '--wait=false'])
  await theirs('prober', { ...fleet, updateRing: 'canary' }, 'Ready', 'True Settled')
  await until(async () => {
    return conditionOf((await scene.get('follower')).status, 'ImageCurrent') === 'True ImageCurrent'
  }, far)
})

test('what never comes up in one namespace keeps no import of another waiting', async () => {
  const own = scene.runtimeName
  const broken = (name: string) =>
    orgImport(neighbour, name, {
      source: {
        inline: {
          name,
          workspaces: Array.from({ length: 4 }, (_, i) => ({ name: `Broken ${name} ${i}`, runtime: own })),
        },
      },
      rollout: { maxInFlight: 4 },
    })
  await cluster.apply([broken('stuck')])
  await until(() => scene.launched.filter(({ ref }) => ref.name.startsWith('broken-stuck')).length === 4, far)
  await cluster.apply([
    orgImport(ns, 'team', {
      source: { inline: { name: 'Team', workspaces: ['One', 'Two', 'Three'].map((name) => ({ name, runtime: own })) } },
      rollout: { maxInFlight: 3 },
    }),
  ])
  await until(async () => {
    const org = await readOrg(cluster, ns, 'team')
    return org.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')
  }, far)
})

test('a status that another has written is taken back, and decides nothing', async () => {
  await make('boss', { backend: 'docker' })
  await settles('boss', 'Ready', 'True Settled')
  await make('child', { backend: 'docker', parentRef: { name: 'boss' } })
  const child = await settles('child', 'Ready', 'True Settled')
  // Nothing more is on its way that would make a pass of the parent.
  const boss = await until(async () => {
    const found = await scene.get('boss')
    expect(found.status?.children).toEqual({ total: 1, ready: 1 })
    return found
  }, far)
  const forged = {
    phase: 'paused',
    runtime: 'other',
    effectivePower: { state: 'Paused', reason: 'AsAsked' },
    summary: 'forged',
    conditions: [
      { type: 'Ready', status: 'False', reason: 'Forged', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
    ],
  }
  await patchStatus(cluster, ['ws', ns, 'boss'], forged)
  await until(async () => {
    const { status } = await scene.get('boss')
    expect(status).toMatchObject({ phase: 'online', runtime: boss.status?.runtime, summary: boss.status?.summary })
    expect(conditionOf(status, 'Ready')).toBe('True Settled')
    return true
  }, far)
  expect((await scene.looked('child')).status?.phase).toBe('online')
  expect(engine.creates.get(child.metadata.uid)).toBe(1)
})

test('a status that names a Runtime keeps it from no deletion', async () => {
  const wanted = `wanted-${randomBytes(4).toString('hex')}`
  await cluster.apply([runtime(wanted), workspace(neighbour, 'liar', { suspend: true })])
  const ready = async () => conditionOf((await readWorkspace(cluster, neighbour, 'liar')).status, 'Ready')
  await until(async () => (await ready()) === 'True Suspended', far)
  // A pass of a suspended one leaves the rest of its status as it is.
  const forged = { runtime: wanted, instance: { backend: 'docker', startedAt: '2026-01-01T00:00:00Z' } }
  await patchStatus(cluster, ['ws', neighbour, 'liar'], forged)
  await cluster.kubectl(['delete', 'runtime', wanted, '--wait=false'])
  await until(async () => (await cluster.kubectl(['get', 'runtime', wanted, '--ignore-not-found'])) === '', far)
  expect((await readWorkspace(cluster, neighbour, 'liar')).status?.runtime).toBe(wanted)
})
