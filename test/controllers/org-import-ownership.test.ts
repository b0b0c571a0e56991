/** Whose a Workspace is, and what happens to what is not as it should be: taken over, marked anew, refused, approved. */
import { expect, onTestFinished, test } from 'vitest'
import { orgScene, patch } from '../support/org-scene.ts'
import { readOrg, readTree } from '../support/orgs.ts'
import { until } from '../support/until.ts'
import { workspace } from '../support/workspaces.ts'

const scene = await orgScene()
const { cluster, settles } = scene

const inline = (...workspaces: object[]) => ({ source: { inline: { name: 'Team', workspaces } } })
const uidsOf = async (ns: string) =>
  new Map([...(await readTree(cluster, ns))].map(([name, { metadata }]) => [name, metadata.uid]))

/** Created, not applied: who applies a field declares it, and holds it. */
async function byHand(ns: string, count: number): Promise<void> {
  const items = [
    workspace(ns, 'lead', { displayName: 'Lead', tier: 1 }),
    ...Array.from({ length: count }, (_, i) =>
      workspace(ns, `hand-${i}`, { displayName: `Hand ${i}`, tier: 1, parentRef: { name: 'lead' } }),
    ),
  ]
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
  await cluster.kubectl(['create', '-f', '-'], { input })
}

test('two imports that would take over one tree at the same moment: one does, the other says whose it is', async () => {
  const ns = await scene.opened()
  await byHand(ns, 20)
  const before = await uidsOf(ns)
  const children = Array.from({ length: 20 }, (_, i) => ({ name: `Hand ${i}`, tier: 1 }))
  const spec = { ...inline({ name: 'Lead', tier: 1, children }), existing: 'Adopt' }
  // Both are there before either may begin.
  for (const name of ['one', 'two']) await scene.org(ns, name, { ...spec, suspend: true })
  for (const name of ['one', 'two']) await settles(ns, name, 'Ready', 'Suspended')
  await Promise.all(['one', 'two'].map((name) => patch(cluster, ns, 'org', name, { spec: { suspend: false } })))
  const owner = await until(
    async () => {
      const owners = [...(await readTree(cluster, ns)).values()].map(
        ({ metadata }) => metadata.ownerReferences?.map(({ name }) => name).join() ?? '',
      )
      expect(new Set(owners).size).toBe(1)
      return owners[0]
    },
    { what: 'one owner of all', within: 90_000 },
  )
  await settles(ns, owner, 'Ready', '21 of 21 existed, 0 created, 21 adopted')
  const other = owner === 'one' ? 'two' : 'one'
  await scene.onePass(ns, other)
  await settles(ns, other, 'Applied', `of OrgImport "${owner}"`)
  expect((await scene.events(ns, other)).has('NodeAdopted')).toBe(false)
  expect(await uidsOf(ns)).toEqual(before)
})

test('what is taken over keeps its spec when the template is for new ones alone', async () => {
  const ns = await scene.opened()
  await byHand(ns, 1)
  const before = await uidsOf(ns)
  const lead = {
    name: 'Lead',
    tier: 3,
    model: 'opus',
    children: [
      { name: 'Hand 0', tier: 3 },
      { name: 'New', tier: 3 },
    ],
  }
  const spec = { ...inline(lead), existing: 'Adopt' }
  await scene.org(ns, 'team', { ...spec, update: 'CreateOnly' })
  await settles(ns, 'team', 'Ready', '2 of 3 existed, 1 created, 2 adopted / True Settled')
  const tree = await readTree(cluster, ns)
  expect(['Lead', 'Hand 0', 'New'].map((name) => tree.get(name)?.spec.tier)).toEqual([1, 1, 3])
  expect(tree.get('Lead')?.metadata.ownerReferences?.map(({ name }) => name)).toEqual(['team'])
  await scene.org(ns, 'team', { ...spec, update: 'Converge' })
  await until(async () => (await readTree(cluster, ns)).get('Lead')?.spec.tier === 3, { within: 45_000 })
  await settles(ns, 'team', 'Ready', '3 of 3 existed, 0 created, 2 updated / True Settled')
  const after = await uidsOf(ns)
  expect([...before].map(([name]) => after.get(name))).toEqual([...before.values()])
})

test('what an import let go keeps its spec in the hands of one that is for new ones alone', async () => {
  const ns = await scene.opened()
  await scene.org(ns, 'first', { ...inline({ name: 'Lead', tier: 1, role: 'Leads.' }), deletionPolicy: 'Retain' })
  await settles(ns, 'first', 'Ready', 'True Settled')
  await cluster.kubectl(['delete', 'org', 'first', '-n', ns, '--timeout=60s'])
  const before = (await readTree(cluster, ns)).get('Lead')
  await scene.org(ns, 'second', { ...inline({ name: 'Lead', tier: 3 }), existing: 'Adopt', update: 'CreateOnly' })
  await settles(ns, 'second', 'Ready', '1 of 1 existed, 0 created, 1 adopted / True Settled')
  const after = (await readTree(cluster, ns)).get('Lead')
  expect([after?.metadata.uid, after?.spec]).toEqual([before?.metadata.uid, before?.spec])
})

test('a Workspace whose marks were taken off is known by its place, and gets them back', async () => {
  const ns = await scene.opened()
  const spec = (name: string) => ({ ...inline({ name: 'Lead', children: [{ name }] }), prune: 'Delete' })
  await scene.org(ns, 'team', spec('Old'))
  await settles(ns, 'team', 'Ready', 'True Settled')
  await scene.org(ns, 'team', { ...spec('New'), renames: { 'Lead/Old': 'Lead/New' } })
  await settles(ns, 'team', 'Ready', '2 of 2 existed, 0 created, 1 updated / True Settled')
  const { name = '', uid } = (await readTree(cluster, ns)).get('New')?.metadata ?? {}
  await cluster.kubectl(['annotate', 'ws', name, '-n', ns, 'molecule.dev/org-node-', 'molecule.dev/applied-digest-'])
  await until(
    async () => {
      const { metadata } = (await readTree(cluster, ns)).get('New') ?? {}
      expect(metadata?.annotations).toMatchObject({ 'molecule.dev/org-node': 'Lead/New' })
      return metadata?.uid === uid
    },
    { what: 'its marks to be back', within: 45_000 },
  )
  expect((await readTree(cluster, ns)).size).toBe(2)
})

test('a node that is refused keeps no other back, and is tried again until it comes', async () => {
  const ns = await scene.opened()
  await refuse(ns, 'Bad')
  const children = [{ name: 'Bad', children: [{ name: 'Below' }] }, { name: 'Good' }]
  // Of the second nothing is there whose changes would wake it.
  await Promise.all([
    scene.org(ns, 'team', inline({ name: 'Lead', children })),
    scene.org(ns, 'lone', inline({ name: 'Bad' })),
  ])
  const lone = await settles(ns, 'lone', 'Applied', 'False ApplyFailed')
  expect(lone.status?.counts).toMatchObject({ desired: 1, existing: 0, created: 0, failed: 1 })
  const org = await settles(ns, 'team', 'Applied', 'False ApplyFailed')
  const tree = await readTree(cluster, ns)
  await cluster.kubectl(['delete', 'validatingadmissionpolicybinding', ns])
  const said = org.status?.conditions?.find(({ type }) => type === 'Applied')?.message
  expect(said).toMatch(/^Lead\/Bad: .*not today/)
  expect(org.status?.nodes?.find(({ path }) => path === 'Lead/Bad')).toMatchObject({
    action: 'Failed',
    message: expect.stringContaining('not today') as string,
  })
  // The one that was refused, and the one below it, which has no parent.
  await until(async () => {
    expect((await readOrg(cluster, ns, 'team')).status?.counts).toMatchObject({ desired: 4, failed: 2 })
    return true
  })
  await scene.tells(ns, 'team', 'ApplyFailed')
  expect([...tree.keys()].toSorted()).toEqual(['Below', 'Good', 'Lead'])
  // By itself.
  await settles(ns, 'lone', 'Ready', '0 of 1 existed, 1 created / True Settled')
  const done = await settles(ns, 'team', 'Ready', '0 of 4 existed, 4 created / True Settled')
  expect(done.status?.nodes).toEqual([])
})

test('an approval is good for once: the same plan, later, has another name and waits', async () => {
  const ns = await scene.opened()
  await scene.org(ns, 'team', { ...inline({ name: 'A' }), approval: 'Manual' })
  const approve = async () => {
    const { status } = await settles(ns, 'team', 'Applied', 'False PlanBlocked')
    expect((await readTree(cluster, ns)).size).toBe(0)
    await patch(cluster, ns, 'org', 'team', { spec: { approvedPlan: status?.plan?.digest } })
    await settles(ns, 'team', 'Ready', '0 of 1 existed, 1 created / True Settled')
    return status?.plan?.digest
  }
  const first = await approve()
  const name = (await readTree(cluster, ns)).get('A')?.metadata.name ?? ''
  await cluster.kubectl(['delete', 'ws', name, '-n', ns, '--timeout=60s'])
  const second = await approve()
  expect(second).not.toBe(first)
})

/** A rule of the cluster against one name in one namespace, in force when this returns. */
async function refuse(ns: string, displayName: string): Promise<void> {
  const rule = { apiVersion: 'admissionregistration.k8s.io/v1', metadata: { name: ns } }
  onTestFinished(async () => {
    for (const kind of ['validatingadmissionpolicybinding', 'validatingadmissionpolicy'])
      await cluster.kubectl(['delete', kind, ns, '--ignore-not-found'])
  })
  await cluster.apply([
    {
      ...rule,
      kind: 'ValidatingAdmissionPolicy',
      spec: {
        failurePolicy: 'Fail',
        matchConstraints: {
          resourceRules: [
            {
              apiGroups: ['molecule.dev'],
              apiVersions: ['v1alpha1'],
              operations: ['CREATE'],
              resources: ['workspaces'],
            },
          ],
        },
        validations: [{ expression: `object.spec.displayName != '${displayName}'`, message: 'not today' }],
      },
    },
    {
      ...rule,
      kind: 'ValidatingAdmissionPolicyBinding',
      spec: {
        policyName: ns,
        validationActions: ['Deny'],
        matchResources: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': ns } } },
      },
    },
  ])
  const probe = JSON.stringify(workspace(ns, 'probe', { displayName }))
  await until(
    () =>
      cluster.kubectl(['create', '--dry-run=server', '-f', '-'], { input: probe }).then(
        () => false,
        (error: unknown) => String(error).includes('not today'),
      ),
    { what: 'the rule to be in force', within: 45_000, every: 200 },
  )
}
