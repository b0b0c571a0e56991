/** What an import says of itself: status, columns, events, metrics. */
import { expect, test } from 'vitest'
import { orgScene, patch } from '../support/org-scene.ts'
import { readTree } from '../support/orgs.ts'

const scene = await orgScene()
const { cluster, settles } = scene

const inline = (...workspaces: object[]) => ({ source: { inline: { name: 'Team', workspaces } } })

/** Nodes by what was done to them. */
async function deeds(): Promise<Record<string, number>> {
  const text = await (await fetch(`${scene.operator().healthUrl}/metrics`)).text()
  const lines = text.matchAll(/^molecule_operator_org_nodes_total\{action="(\w+)"\} (\d+)$/gm)
  return Object.fromEntries([...lines].map(([, action, count]): [string, number] => [action ?? '', Number(count)]))
}

test('an import says what it found, what it did, and where each node is', async () => {
  const ns = await scene.opened()
  expect(await deeds()).toMatchObject({ Created: 0, Updated: 0, Adopted: 0, Failed: 0, Pruned: 0 })
  const lead = { name: 'Lead', parent: 'nobody', children: [{ name: 'Hand' }, { name: 'Helper' }] }
  await scene.org(ns, 'team', inline(lead))
  const made = await settles(ns, 'team', 'Ready', '0 of 3 existed, 3 created / True Settled')
  expect(made.status).toMatchObject({
    counts: {
      desired: 3,
      existing: 0,
      created: 3,
      updated: 0,
      adopted: 0,
      failed: 0,
      orphaned: 0,
      pruned: 0,
      ready: 3,
    },
    source: { revision: 'generation 1', digest: expect.stringMatching(/^[0-9a-f]{64}$/) as string },
    plan: { create: 0, update: 0, rename: 0, move: 0, adopt: 0, orphan: 0, delete: 0 },
    warnings: [{ code: 'UnknownKey', path: expect.stringContaining('parent') as string }],
    // Nothing is to be said of nodes that are fine.
    nodes: [],
  })
  const verdicts = ['SourceReady', 'TemplateParsed', 'EnvironmentReady', 'Applied', 'Provisioned', 'Ready']
  const held = made.status?.conditions?.flatMap(({ type, status }) => (status === 'True' ? [type] : []))
  expect(held?.toSorted()).toEqual(verdicts.toSorted())
  await scene.tells(ns, 'team', 'Imported', 'NodeCreated')
  expect(await deeds()).toMatchObject({ Created: 3, Updated: 0 })

  const selector = `molecule.dev/org-import=${made.metadata.uid}`
  const found = await cluster.kubectl(['get', 'ws', '-n', ns, '-l', selector, '-o', 'name'])
  expect(found.trim().split('\n').toSorted()).toEqual(
    [...(await readTree(cluster, ns)).values()]
      .map(({ metadata }) => `workspace.molecule.dev/${metadata.name}`)
      .toSorted(),
  )
  const [head = '', row = ''] = (await cluster.kubectl(['get', 'org', 'team', '-n', ns])).split('\n')
  expect(head.split(/ {2,}/).map((title) => title.trim())).toEqual([
    'NAME',
    'READY',
    'DESIRED',
    'EXISTED',
    'CREATED',
    'FAILED',
    'REVISION',
    'WHY',
    'AGE',
  ])
  expect(row).toMatch(/^team +True +3 +0 +3 +0 +generation 1 +3 of 3 ready; last change: 0 of 3 existed, 3 created +/)

  await scene.org(ns, 'team', inline({ ...lead, tier: 2, children: [{ name: 'Hand' }] }))
  const later = await settles(ns, 'team', 'Ready', '1 updated, 1 left the template and live on / True Settled')
  expect(later.status?.counts).toMatchObject({ desired: 2, existing: 2, created: 0, updated: 1, orphaned: 1 })
  expect(later.status?.source?.digest).not.toBe(made.status?.source?.digest)
  expect(later.status?.conditions?.find(({ type }) => type === 'Applied')?.message).toContain('left the template')
  await scene.tells(ns, 'team', 'OrphanKept')
  expect(await deeds()).toMatchObject({ Created: 3, Updated: 1, Pruned: 0 })

  await patch(cluster, ns, 'org', 'team', { spec: { suspend: true } })
  const hands = await settles(ns, 'team', 'Ready', 'Suspended')
  expect(hands.status?.counts).toEqual(later.status?.counts)
  expect(hands.status?.history?.at(-1)).toMatchObject({ from: 'Ready', to: 'Suspended', actor: 'user' })
})
