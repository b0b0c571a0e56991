/** An edited template, whose plan a person approves. Every kind of step is in it. */
import type { OrgImport } from '../../src/api/org-import.ts'
import { until } from '../support/until.ts'
import type { Act } from './acts.ts'
import { unready, unsettled } from './ends.ts'
import type { Seen, World } from './world.ts'

const before = ['Chief', 'Left', 'Right', 'Mover', 'Old Name', 'Leaver', 'Parter']
const after = ['Chief', 'Left', 'Right', 'Mover', 'New Name', 'Comer']

/** What the plan of `approve` writes, by failpoint: a run is killed at each. */
export const approvedSteps = { filed: 1, applied: 4, equipped: 2, pruned: 2 } as const

export const staff: Act = {
  after: [],
  names: before,
  replaces: [],
  begin: (world) =>
    importWorks(world, {
      name: 'Chief',
      plugins: ['audit'],
      system_prompt: 'You lead.',
      children: [
        { name: 'Left', children: [{ name: 'Mover' }, { name: 'Old Name' }] },
        { name: 'Right', children: [{ name: 'Leaver' }, { name: 'Parter' }] },
      ],
    }),
  missing: (seen) => settledAs(seen, before),
}

/** Shown by an operator, approved by a person, carried out. */
export const approve: Act = {
  after: ['staff'],
  names: after,
  replaces: ['Chief', 'Right', 'Leaver', 'Parter'],
  begin: async (world) => {
    const root = {
      name: 'Chief',
      plugins: ['browser'],
      system_prompt: 'You lead anew.',
      children: [
        { name: 'Left', children: [{ name: 'New Name' }] },
        { name: 'Right', model: 'opus', children: [{ name: 'Mover' }, { name: 'Comer' }] },
      ],
    }
    const renames = { 'Chief/Left/Old Name': 'Chief/Left/New Name' }
    await importWorks(world, root, { prune: 'Delete', approval: 'Manual', renames })
    const digest = await until(() => plannedDigest(world), { what: 'the plan to be shown', within: 30_000 })
    await world.ask('PATCH', world.pathOf('orgimports', 'works'), { spec: { approvedPlan: digest } })
  },
  missing: (seen) => settledAs(seen, after),
}

async function plannedDigest(world: World): Promise<string | undefined> {
  const { metadata, status } = (await world.ask('GET', world.pathOf('orgimports', 'works'))) as OrgImport
  const blocked = status?.conditions?.some(({ type, reason }) => type === 'Applied' && reason === 'PlanBlocked')
  return blocked === true && status?.observedGeneration === metadata.generation ? status.plan?.digest : undefined
}

const settledAs = (seen: Seen, names: readonly string[]): string | undefined =>
  unready(seen, names) ??
  unsettled(seen.orgs[0]) ??
  (seen.workspaces.length > names.length ? 'who left is still there' : undefined)

async function importWorks(world: World, root: object, more: object = {}): Promise<void> {
  const metadata = { name: 'works', namespace: world.namespace }
  const spec = { source: { inline: { name: 'Works', workspaces: [root] } }, ...more }
  await world.place.cluster.apply([{ apiVersion: 'molecule.dev/v1alpha1', kind: 'OrgImport', metadata, spec }])
}
