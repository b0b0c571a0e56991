/** Who owns what: adoption, other people's fields, deletions that wait, turns, plugins. */
import { describe, expect, test } from 'vitest'
import type { PluginInstall } from '../../src/api/plugin-install.ts'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { identities, orgScene, patch } from '../support/org-scene.ts'
import { readOrg, readTree } from '../support/orgs.ts'
import { until } from '../support/until.ts'
import { workspace } from '../support/workspaces.ts'

/** Agents take a moment to come up, those of a crowd until there are two: so it can be seen how many do so at once. */
let starting = 0
let mostStarting = 0
const twoAtOnce = Promise.withResolvers<void>()
const started: string[] = []
const backend = new FakeBackend({
  onRunning: (spec, ended) => {
    const { name } = spec.ref
    const [crowd, slow] = [name.startsWith('crowd-'), name.startsWith('slow-')]
    if (slow) started.push(name)
    if (crowd || slow) mostStarting = Math.max(mostStarting, ++starting)
    if (mostStarting > 1) twoAtOnce.resolve()
    const come = () => {
      if (crowd || slow) starting--
      registerAt(spec, ended)
    }
    const wait = () => void setTimeout(come, crowd || slow ? 150 : 0)
    if (crowd) void twoAtOnce.promise.then(wait)
    else wait()
  },
})
const scene = await orgScene(backend)
const { cluster, settles } = scene

const inline = (...workspaces: object[]) => ({ source: { inline: { name: 'Team', workspaces } } })
const pair = { name: 'Lead', tier: 2, system_prompt: 'You lead.', children: [{ name: 'Hand', tier: 2 }] }
const far = { within: 45_000 }
const launchesOf = (uid: string | undefined) => backend.creates.get(uid ?? '')
const condition = (type: string, verdict: string) => [type, verdict] as const

/** A tree by hand that says what `pair` says, its prompt in a ConfigMap of somebody. */
async function byHand(ns: string): Promise<Map<string, string>> {
  const text = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'mine', namespace: ns },
    data: { p: 'You lead.' },
  }
  const files = [{ path: 'system-prompt.md', configMapKeyRef: { name: 'mine', key: 'p' } }]
  await cluster.apply([
    text,
    workspace(ns, 'the-lead', { displayName: 'Lead', tier: 2, files }),
    workspace(ns, 'the-hand', { displayName: 'Hand', tier: 2, parentRef: { name: 'the-lead' } }),
  ])
  return await until(async () => {
    const tree = await readTree(cluster, ns)
    for (const live of tree.values())
      expect(live.status?.conditions?.find(({ type }) => type === 'Ready')?.status).toBe('True')
    expect(tree.size).toBe(2)
    return new Map([...tree].map(([name, { metadata }]) => [name, metadata.uid]))
  }, far)
}

describe('a tree that is there already', () => {
  test('made by hand, is taken over without a restart when told to, and goes with the import', async () => {
    const ns = await scene.opened()
    const before = await byHand(ns)
    await scene.org(ns, 'team', { ...inline(pair), existing: 'Adopt' })
    const org = await settles(ns, 'team', ...condition('Ready', '2 of 2 existed, 0 created, 2 adopted / True Settled'))
    expect(org.status?.counts).toMatchObject({ adopted: 2, ready: 2 })
    const tree = await readTree(cluster, ns)
    expect([...tree].map(([name, { metadata }]) => [name, metadata.uid])).toEqual([...before])
    expect([...before.values()].map(launchesOf)).toEqual([1, 1])
    await scene.tells(ns, 'team', 'NodeAdopted')
    await cluster.kubectl(['delete', 'org', 'team', '-n', ns, '--timeout=60s'])
    expect((await readTree(cluster, ns)).size).toBe(0)
  })

  test('is said to be there, and nothing is made, unless told to', async () => {
    const ns = await scene.opened()
    const before = await byHand(ns)
    await scene.org(ns, 'team', inline(pair))
    await settles(ns, 'team', ...condition('Applied', '"Lead" is there already: Workspace "the-lead" of nobody'))
    expect([...(await readTree(cluster, ns)).values()].map(({ metadata }) => metadata.uid)).toEqual([
      ...before.values(),
    ])
  })

  test('stands for its node when it is to be ignored', async () => {
    const ns = await scene.opened()
    await byHand(ns)
    const more = { ...pair, plugins: ['audit'], children: [...pair.children, { name: 'Other', plugins: ['audit'] }] }
    await scene.org(ns, 'team', { ...inline(more), existing: 'Ignore' })
    const org = await settles(ns, 'team', ...condition('Ready', '2 of 3 existed, 1 created'))
    expect(org.status?.warnings?.map(({ code, path }) => `${code} ${path ?? ''}`)).toEqual([
      'PluginsSkipped ',
      'Ignored Lead',
      'Ignored Lead/Hand',
    ])
    const tree = await readTree(cluster, ns)
    expect(tree.get('Other')?.spec.parentRef?.name).toBe('the-lead')
    expect(tree.get('Lead')?.metadata.ownerReferences).toBeUndefined()
    const { items } = (await cluster.getJson('plugininstalls', '-n', ns)) as { items: PluginInstall[] }
    expect(items.map(({ spec }) => spec.targets.names)).toEqual([[tree.get('Other')?.metadata.name]])
  })

  test('of another import, is that one’s until it lets go', async () => {
    const ns = await scene.opened()
    await scene.org(ns, 'first', { ...inline(pair), deletionPolicy: 'Retain' })
    await settles(ns, 'first', 'Ready', 'True Settled')
    const before = identities(await scene.workspaces(ns))
    await scene.org(ns, 'second', { ...inline(pair), existing: 'Adopt' })
    await settles(ns, 'second', 'Applied', 'of OrgImport "first": delete that with deletionPolicy Retain first')
    expect(identities(await scene.workspaces(ns))).toEqual(before)

    await cluster.kubectl(['delete', 'org', 'first', '-n', ns, '--timeout=60s'])
    // What was let go, a pass knows once it has heard of it.
    await until(async () => {
      await scene.onePass(ns, 'second')
      return (await readOrg(cluster, ns, 'second')).status?.summary?.includes('2 of 2 existed, 0 created, 2 adopted')
    }, far)
    expect(identities(await scene.workspaces(ns))).toEqual(before)
    expect([...before.values()].map(launchesOf)).toEqual([1, 1])
  })
})

describe('what somebody changes', () => {
  test('in passing is put back; what somebody declares is left alone and told of', async () => {
    const ns = await scene.opened()
    await scene.org(ns, 'team', inline({ name: 'A', tier: 2, role: 'Works.' }))
    await settles(ns, 'team', 'Ready', 'True Settled')
    const name = (await readTree(cluster, ns)).get('A')?.metadata.name ?? ''
    await patch(cluster, ns, 'ws', name, { spec: { tier: 1 } })
    await until(async () => (await readTree(cluster, ns)).get('A')?.spec.tier === 2, far)

    const mine = JSON.stringify(workspace(ns, name, { role: 'Is mine.' }))
    const declare = ['apply', '--server-side', '--force-conflicts', '--field-manager=bob', '-f', '-']
    await cluster.kubectl(declare, { input: mine })
    const org = await settles(ns, 'team', 'Ready', 'True Settled')
    const warned = await until(async () => {
      const { status } = await settles(ns, 'team', 'Ready', 'True Settled')
      return status?.warnings?.find(({ code }) => code === 'HeldByOthers')
    }, far)
    expect(warned).toMatchObject({ path: 'A', message: expect.stringContaining('spec.role is declared by "bob"') })
    expect(org.spec.existing).toBe('Fail')
    // The template goes on deciding the rest.
    await scene.org(ns, 'team', inline({ name: 'A', tier: 3, role: 'Works more.' }))
    await until(async () => (await readTree(cluster, ns)).get('A')?.spec.tier === 3, far)
    expect((await readTree(cluster, ns)).get('A')?.spec.role).toBe('Is mine.')
    const quiet = (await readTree(cluster, ns)).get('A')?.metadata.generation
    await scene.onePass(ns, 'team')
    expect((await readTree(cluster, ns)).get('A')?.metadata.generation).toBe(quiet)
    // Given up, it is the template's again.
    const nothing = JSON.stringify(workspace(ns, name, {}))
    await cluster.kubectl(declare, { input: nothing })
    await until(async () => (await readTree(cluster, ns)).get('A')?.spec.role === 'Works more.', far)
  })

  test('in the template reaches nobody who exists, when it is for new ones alone', async () => {
    const ns = await scene.opened()
    const spec = { update: 'CreateOnly' }
    await scene.org(ns, 'team', {
      ...inline({ name: 'A', tier: 2, system_prompt: 'Old.', plugins: ['audit'] }),
      ...spec,
    })
    await settles(ns, 'team', 'Ready', 'True Settled')
    const uid = (await readTree(cluster, ns)).get('A')?.metadata.uid
    const edited = [
      { name: 'A', tier: 3, system_prompt: 'New.', plugins: ['browser'] },
      { name: 'B', system_prompt: 'Fresh.', plugins: ['audit'] },
    ]
    await scene.org(ns, 'team', { ...inline(...edited), ...spec })
    await settles(ns, 'team', 'Ready', '1 of 2 existed, 1 created')
    const { items: installs } = (await cluster.getJson('plugininstalls', '-n', ns)) as { items: PluginInstall[] }
    const both = [...(await readTree(cluster, ns)).values()].map(({ metadata }) => metadata.name)
    expect(installs.map(({ spec: { source, targets } }) => [source, targets.names])).toEqual([
      ['audit', both.toSorted()],
    ])
    expect((await readTree(cluster, ns)).get('A')?.spec.tier).toBe(2)
    expect(backend.volumes.get(uid ?? '')?.get('system-prompt.md')).toBe('Old.')
    expect(launchesOf(uid)).toBe(1)
  })
})

describe('a plan that deletes', () => {
  const five = ['A', 'B', 'C', 'D', 'E'].map((name) => ({ name }))

  test('more than half waits for a person; less goes ahead, and takes what has the import’s UID alone', async () => {
    const ns = await scene.opened()
    await cluster.apply([workspace(ns, 'mine', { displayName: 'E', parentRef: { name: 'somebody' } })])
    await scene.org(ns, 'team', { ...inline(...five), prune: 'Delete' })
    await settles(ns, 'team', 'Ready', 'True Settled')
    await scene.org(ns, 'team', { ...inline(...five.slice(0, 3)), prune: 'Delete' })
    const pruned = await settles(ns, 'team', 'Ready', '3 of 3 existed, 0 created, 2 deleted')
    expect(pruned.status?.counts).toMatchObject({ desired: 3, pruned: 2 })
    await scene.org(ns, 'team', { ...inline(...five.slice(0, 4)), prune: 'Delete' })
    await settles(ns, 'team', 'Ready', '3 of 4 existed, 1 created')

    await scene.org(ns, 'team', { ...inline({ name: 'A' }), prune: 'Delete' })
    const blocked = await settles(ns, 'team', 'PruneBlocked', 'deletes 3 of 4 workspaces, more than half')
    expect(blocked.status?.conditions?.find(({ type }) => type === 'PruneBlocked')).toMatchObject({
      status: 'True',
      reason: 'TooManyDeletes',
    })
    expect((await readTree(cluster, ns)).size).toBe(5)
    await patch(cluster, ns, 'org', 'team', { spec: { approvedPlan: blocked.status?.plan?.digest } })
    const done = await settles(ns, 'team', 'Ready', '1 of 1 existed, 0 created, 3 deleted')
    expect(done.status?.conditions?.some(({ type }) => type === 'PruneBlocked')).toBe(false)
    await until(async () => (await readTree(cluster, ns)).size === 2, far)
    expect((await readTree(cluster, ns)).get('E')?.metadata.name).toBe('mine')
    await scene.tells(ns, 'team', 'Pruned')
  })

  test('more than maxDeletes waits', async () => {
    const ns = await scene.opened()
    const spec = { prune: 'Delete', maxDeletes: 1 }
    await scene.org(ns, 'team', { ...inline(...five), ...spec })
    await settles(ns, 'team', 'Ready', 'True Settled')
    await scene.org(ns, 'team', { ...inline(...five.slice(0, 3)), ...spec })
    await settles(ns, 'team', 'PruneBlocked', 'deletes 2 of 5 workspaces, more than spec.maxDeletes: 1')
    expect((await readTree(cluster, ns)).size).toBe(5)
    await patch(cluster, ns, 'org', 'team', { spec: { maxDeletes: 2 } })
    await settles(ns, 'team', 'Ready', '2 deleted')
  })
})

test('no more start at once than one may, of all imports together', async () => {
  const ns = await scene.opened()
  const rollout = { maxInFlight: 3 }
  const crowd = (prefix: string) => {
    const children = Array.from({ length: 7 }, (_, i) => ({ name: `Crowd ${prefix}${i}` }))
    return inline({ name: `Crowd ${prefix}`, children })
  }
  await Promise.all(['a', 'b'].map((prefix) => scene.org(ns, prefix, { ...crowd(prefix), rollout })))
  for (const name of ['a', 'b']) await settles(ns, name, 'Ready', '0 of 8 existed, 8 created / True Settled')
  expect(mostStarting).toBeGreaterThan(1)
  expect(mostStarting).toBeLessThanOrEqual(3)
})

test('one after the other, parents start first', async () => {
  const ns = await scene.opened()
  const below = [{ name: 'Slow A', children: [{ name: 'Slow B' }] }, { name: 'Slow C' }]
  await scene.org(ns, 'chain', { ...inline({ name: 'Slow Top', children: below }), rollout: { maxInFlight: 1 } })
  await settles(ns, 'chain', 'Ready', '0 of 4 existed, 4 created / True Settled')
  const names = new Map([...(await readTree(cluster, ns))].map(([name, { metadata }]) => [metadata.name, name]))
  const order = started.flatMap((name) => names.get(name) ?? [])
  expect(order.toSorted()).toEqual(['Slow A', 'Slow B', 'Slow C', 'Slow Top'])
  expect(order[0]).toBe('Slow Top')
  expect(order.indexOf('Slow A')).toBeLessThan(order.indexOf('Slow B'))
})

test('a target that is missing is waited for', async () => {
  const ns = await scene.opened()
  await scene.org(ns, 'team', { ...inline({ name: 'A' }), target: { parentRef: { name: 'boss' } } })
  await settles(ns, 'team', 'Applied', 'False ParentMissing')
  expect((await readTree(cluster, ns)).size).toBe(0)
  await cluster.apply([workspace(ns, 'boss')])
  await settles(ns, 'team', 'Ready', 'True Settled')
  expect((await readTree(cluster, ns)).get('A')?.spec.parentRef?.name).toBe('boss')
})

test('each plugin is installed once, on those that want it, and goes when nobody does', async () => {
  const ns = await scene.opened()
  const team = (a: string[], b: string[]) => inline({ name: 'A', plugins: a }, { name: 'B', plugins: b })
  const installs = async () => {
    const { items } = (await cluster.getJson('plugininstalls', '-n', ns)) as { items: PluginInstall[] }
    const names = new Map([...(await readTree(cluster, ns))].map(([name, { metadata }]) => [metadata.name, name]))
    return items
      .map(({ spec }) => `${spec.source}: ${(spec.targets.names ?? []).map((name) => names.get(name)).join()}`)
      .toSorted()
  }
  await scene.org(ns, 'team', team(['browser', 'audit'], ['browser']))
  const org = await settles(ns, 'team', 'Ready', 'True Settled')
  expect(org.status?.counts?.plugins).toBe(2)
  expect(await installs()).toEqual(['audit: A', 'browser: A,B'])
  // Whatever it says of itself: what is in another namespace is nothing of this import's.
  const other = await scene.opened()
  const { name, uid } = org.metadata
  const owner = { apiVersion: 'molecule.dev/v1alpha1', kind: 'OrgImport', name, uid }
  const spec = { source: 'audit', targets: { names: ['a'] } }
  const metadata = { name: 'stray', namespace: other, ownerReferences: [owner] }
  await cluster.apply([{ apiVersion: 'molecule.dev/v1alpha1', kind: 'PluginInstall', metadata, spec }])
  await scene.org(ns, 'team', team(['browser'], []))
  await until(async () => (await installs()).join() === 'browser: A', far)
  await cluster.kubectl(['delete', 'org', 'team', '-n', ns, '--timeout=60s'])
  await until(async () => (await installs()).length === 0, far)
  const stray = (await cluster.getJson('plugininstall', 'stray', '-n', other)) as PluginInstall
  expect(stray.metadata.deletionTimestamp).toBeUndefined()
})
