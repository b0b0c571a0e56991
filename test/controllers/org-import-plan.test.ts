/** A tree edited in ten ways: planned, shown, approved, applied; in the end what a fresh import makes. */
import { expect, test } from 'vitest'
import type { OrgImport } from '../../src/api/org-import.ts'
import { identities, orgScene, patch, type OrgScene } from '../support/org-scene.ts'

const scene = await orgScene()
const { cluster } = scene

interface Node {
  name: string
  children?: Node[]
  [key: string]: unknown
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i)

/** 1 + 3 + 12 + 48 nodes. */
const org = (): { name: string; defaults: object; workspaces: [Node] } => ({
  name: 'Works',
  defaults: { tier: 2, model: 'sonnet' },
  workspaces: [
    {
      name: 'Chief',
      children: range(3).map((i) => ({
        name: `Lead ${i}`,
        children: range(4).map((j) => ({
          name: `Team ${i}-${j}`,
          children: range(4).map((k) => ({ name: `Member ${i}-${j}-${k}`, system_prompt: `You are ${i}-${j}-${k}.` })),
        })),
      })),
    },
  ],
})

function find(nodes: readonly Node[], name: string): Node {
  for (const node of nodes) {
    if (node.name === name) return node
    const below = node.children && findIn(node.children, name)
    if (below) return below
  }
  throw new Error(`there is no ${name}`)
}
const findIn = (nodes: readonly Node[], name: string): Node | undefined => {
  try {
    return find(nodes, name)
  } catch {
    return undefined
  }
}
const without = (node: Node, name: string): Node => {
  const at = (node.children ?? []).findIndex((child) => child.name === name)
  const [taken] = node.children?.splice(at, 1) ?? []
  if (at < 0 || taken === undefined) throw new Error(`there is no ${name}`)
  return taken
}

function edited() {
  const template = org()
  const [chief] = template.workspaces
  const of = (name: string) => find(template.workspaces, name)
  of('Member 0-0-0').name = 'Author'
  of('Lead 2').children?.push(without(of('Lead 1'), 'Team 1-2'))
  without(of('Team 2-3'), 'Member 2-3-3')
  of('Team 0-1').children?.push({ name: 'Newcomer', role: 'Learns.' })
  of('Member 0-2-0')['model'] = 'opus'
  of('Member 0-2-1')['system_prompt'] = 'You are another.'
  of('Member 0-2-2')['schedules'] = [{ name: 'daily', cron_expr: '0 9 * * *', prompt: 'Report.' }]
  of('Member 0-2-3')['plugins'] = ['browser']
  chief['canvas'] = { x: 500, y: 40 }
  return template
}
const more = {
  renames: { 'Chief/Lead 0/Team 0-0/Member 0-0-0': 'Chief/Lead 0/Team 0-0/Author' },
  secretsFrom: [{ node: 'Chief/Lead 1', secretRef: { name: 'keys' } }],
}

/** The tree by paths, with references written out: what two imports of one template have in common. */
async function shape({ cluster: at, workspaces }: OrgScene, ns: string) {
  const items = await workspaces(ns)
  const paths = new Map(items.map(({ metadata }) => [metadata.name, metadata.annotations?.['molecule.dev/org-node']]))
  const { items: maps } = (await at.getJson('configmaps', '-n', ns)) as {
    items: { metadata: { name: string }; data?: Record<string, string> }[]
  }
  const texts = new Map(maps.map(({ metadata, data }) => [metadata.name, data ?? {}]))
  const { items: installs } = (await at.getJson('plugininstalls', '-n', ns)) as {
    items: { spec: { source: string; targets: { names: string[] } } }[]
  }
  const tree = items.map(({ metadata, spec }) => {
    const { parentRef, files = [], ...rest } = spec
    const written = files.map(({ path, configMapKeyRef: { name, key } }) => [path, texts.get(name)?.[key]])
    return [
      paths.get(metadata.name),
      { ...rest, parent: parentRef && paths.get(parentRef.name), files: written },
    ] as const
  })
  return {
    tree: new Map(tree.toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1))),
    plugins: installs.map(({ spec }) => [spec.source, spec.targets.names.map((name) => paths.get(name))]),
  }
}

const rowsOf = async (ns: string) =>
  (
    await scene.db.query<{ id: string; name: string; parent: string; model: string }>(
      `SELECT w.id, w.name, p.name AS parent, w.model FROM workspaces w LEFT JOIN workspaces p ON p.id = w.parent_id
       WHERE w.namespace = $1 AND w.status <> 'removed'`,
      [ns],
    )
  ).rows

const secret = (ns: string) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'keys', namespace: ns },
  stringData: { TOKEN: 'a-secret-value' },
})

test('a tree edited in ten ways becomes what a fresh import of the edited template is', async () => {
  const [ns, fresh] = [await scene.opened(), await scene.opened()]
  await cluster.apply([secret(ns), secret(fresh)])
  await scene.org(ns, 'works', { source: { inline: org() }, prune: 'Delete' })
  await scene.settles(ns, 'works', 'Ready', '0 of 64 existed, 64 created / True')
  const before = identities(await scene.workspaces(ns))
  const launches = new Map(scene.backend.creates)

  const spec = { source: { inline: edited() }, prune: 'Delete', approval: 'Manual', ...more }
  await scene.org(ns, 'works', spec)
  const waiting = await scene.settles(ns, 'works', 'Applied', 'False PlanBlocked')
  const plan = planOf(waiting)
  expect(plan).toMatchObject({ create: 1, rename: 1, move: 1, adopt: 0, orphan: 0, delete: 1 })
  expect(plan.actions?.length).toBe(20)
  const map = (await cluster.getJson('configmap', plan.configMap ?? '', '-n', ns)) as { data: Record<string, string> }
  const text = map.data['plan.txt'] ?? ''
  expect(text).toContain(`digest: ${plan.digest}`)
  expect(text).toMatch(/^rename +Chief\/Lead 0\/Team 0-0\/Author \(member-0-0-0-[0-9a-f]{8}\) was Chief/m)
  expect(text).toMatch(/^prune +Chief\/Lead 2\/Team 2-3\/Member 2-3-3 /m)
  expect(text).toMatch(/^install +browser /m)
  expect(text).toMatch(/Member 0-2-0 \(.*\) .*model "sonnet" → "opus"/)
  expect(await scene.events(ns, 'works')).toContain('PlanReady')
  // Nothing has been done, and an approval of another plan does nothing either.
  await patch(cluster, ns, 'org', 'works', { spec: { approvedPlan: '0'.repeat(32) } })
  await scene.settles(ns, 'works', 'Applied', 'the approved plan is another one')
  expect(identities(await scene.workspaces(ns))).toEqual(before)

  await patch(cluster, ns, 'org', 'works', { spec: { approvedPlan: plan.digest } })
  const done = await scene.settles(ns, 'works', 'Ready', 'True Settled')
  expect(done.status?.counts).toMatchObject({ desired: 64, created: 1, pruned: 1, failed: 0, ready: 64 })
  await scene.org(fresh, 'works', { ...spec, approval: 'Auto' })
  await scene.settles(fresh, 'works', 'Ready', 'True Settled')
  expect(await shape(scene, ns)).toEqual(await shape(scene, fresh))

  const after = identities(await scene.workspaces(ns))
  const kept = (was: string, is = was) => expect([is, after.get(is)]).toEqual([is, before.get(was)])
  kept('Chief/Lead 0/Team 0-0/Member 0-0-0', 'Chief/Lead 0/Team 0-0/Author')
  kept('Chief/Lead 1/Team 1-2', 'Chief/Lead 2/Team 1-2')
  for (const k of range(4)) kept(`Chief/Lead 1/Team 1-2/Member 1-2-${k}`, `Chief/Lead 2/Team 1-2/Member 1-2-${k}`)
  expect(after.has('Chief/Lead 2/Team 2-3/Member 2-3-3')).toBe(false)
  const rows = await rowsOf(ns)
  expect(rows.length).toBe(64)
  expect(rows.find(({ name }) => name === 'Author')?.id).toBe(before.get('Chief/Lead 0/Team 0-0/Member 0-0-0'))
  expect(rows.find(({ name }) => name === 'Team 1-2')?.parent).toBe('Lead 2')
  // Only whom an agent's own matters changed for starts anew: not who was renamed or moved.
  const restarted = [...after].filter(([, uid]) => scene.backend.creates.get(uid) !== (launches.get(uid) ?? 1))
  expect(restarted.map(([path]) => path.slice(path.lastIndexOf('/') + 1)).toSorted()).toEqual([
    'Lead 1',
    'Member 0-2-0',
    'Member 0-2-1',
  ])
}, 180_000)

function planOf({ status }: OrgImport) {
  if (status?.plan?.digest === undefined) throw new Error('there is a plan')
  return status.plan
}
