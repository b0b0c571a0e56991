/** What happens to a small organisation while the operator is killed: each act ends in a state that can be named. */
import { until } from '../support/until.ts'
import { approve, staff } from './approval.ts'
import { gone, knows, liveOf, nameOf, notAtRest, sameAs, unready, unremoved, unsettled } from './ends.ts'
import type { Seen, World } from './world.ts'

export const actNames = [
  'create',
  'replace',
  'crash',
  'switch',
  'pause',
  'resume',
  'hibernate',
  'wake',
  'remove',
  'cascade',
  'give up',
  'adopt',
  'import',
  'reimport',
  'release',
  'staff',
  'approve',
] as const
export type ActName = (typeof actNames)[number]

/** All of them in one run, with what has to be there once more before the next. */
export const course: readonly ActName[] = actNames.flatMap((name) =>
  name === 'cascade' || name === 'give up' ? ['create', name] : [name],
)

export interface Act {
  /** What must have been played before. */
  readonly after: readonly ActName[]
  /** Display names that it is about. */
  readonly names: readonly string[]
  /** Those whose instance it asks to be another, or none. */
  readonly replaces: readonly string[]
  readonly only?: 'docker'
  /** Settings of the operators that play it. */
  readonly settings?: Readonly<Record<string, string>>
  readonly begin: (world: World, before: Seen) => Promise<unknown>
  /** What is not yet as it should be in the end, in words. */
  readonly missing: (seen: Seen, before: Seen) => string | undefined
  /** Takes away what the act leaves behind on purpose. */
  readonly clean?: (world: World, before: Seen) => Promise<unknown>
}

const pair = ['lead', 'hand']
const team = ['Director', 'Scout']
const later = ['Director', 'Envoy', 'Clerk']

export const acts: Readonly<Record<ActName, Act>> = {
  create: {
    after: [],
    names: pair,
    replaces: [],
    begin: async (world) => {
      const env = [{ name: 'KEY', valueFrom: { secretKeyRef: { name: 'keys', key: 'KEY' } } }]
      await applySecret(world, 'first')
      const memories = [{ content: 'We began small.' }]
      await world.place.cluster.apply([
        workspace(world, 'lead', { role: 'Leads', memories }),
        workspace(world, 'hand', { parentRef: { name: 'lead' }, env }),
      ])
    },
    missing: (seen) => unready(seen, pair),
  },
  replace: {
    after: ['create'],
    names: pair,
    replaces: ['hand'],
    begin: (world) => applySecret(world, 'second'),
    missing: (seen, before) => sameAs(seen, before, 'hand') ?? unready(seen, pair),
  },
  crash: {
    after: ['create'],
    names: pair,
    replaces: ['lead'],
    begin: async (world, before) => {
      for (const id of liveOf(before, 'lead')) await world.instances.kill(id)
    },
    missing: (seen, before) => sameAs(seen, before, 'lead') ?? unready(seen, pair),
  },
  // Another runtime, with another image where the backend has any.
  switch: {
    after: ['create'],
    names: pair,
    replaces: ['lead'],
    begin: async (world) => {
      await makeRuntime(world, world.namespace)
      await edit(world, 'lead', { runtime: world.namespace })
    },
    missing: (seen, before) => sameAs(seen, before, 'lead') ?? unready(seen, pair),
  },
  pause: {
    after: ['create'],
    names: pair,
    replaces: pair,
    begin: (world) => edit(world, 'lead', { power: 'Paused' }),
    missing: (seen) => notAtRest(seen, pair, 'paused'),
  },
  resume: {
    after: ['create', 'pause'],
    names: pair,
    replaces: [],
    begin: (world) => edit(world, 'lead', { power: 'Running' }),
    missing: (seen) => unready(seen, pair),
  },
  hibernate: {
    after: ['create'],
    names: pair,
    replaces: ['hand'],
    begin: (world) => edit(world, 'hand', { hibernation: { idleAfter: '1s' } }),
    missing: (seen) => notAtRest(seen, ['hand'], 'hibernated') ?? unready(seen, ['lead']),
  },
  wake: {
    after: ['create', 'hibernate'],
    names: pair,
    replaces: [],
    // In one edit, so that it does not fall asleep again before anybody looks.
    begin: (world) =>
      world.ask('PATCH', world.pathOf('workspaces', 'hand'), {
        metadata: { annotations: { 'molecule.dev/wake-at': new Date().toISOString() } },
        spec: { hibernation: { idleAfter: '1h' } },
      }),
    missing: (seen) => unready(seen, pair),
  },
  remove: {
    after: ['create'],
    names: pair,
    replaces: pair,
    begin: async (world) => {
      for (const name of pair) await world.ask('DELETE', world.pathOf('workspaces', name))
    },
    missing: gone,
  },
  cascade: {
    after: ['create'],
    names: pair,
    replaces: pair,
    begin: async (world) => {
      await edit(world, 'lead', { childrenPolicy: 'Cascade' })
      await world.ask('DELETE', world.pathOf('workspaces', 'lead'))
    },
    missing: gone,
  },
  // The operator is started anew without the backend, as one is whose host is gone for good.
  'give up': {
    after: ['create'],
    names: pair,
    replaces: pair,
    settings: { BACKENDS: 'external' },
    begin: async (world) => {
      for (const name of pair) {
        await edit(world, name, { deletion: { giveUpAfter: '1s' } })
        await world.ask('DELETE', world.pathOf('workspaces', name))
      }
    },
    missing: (seen) =>
      seen.workspaces.length > 0 ? `${seen.workspaces.length} Workspaces are still there` : unremoved(seen),
    clean: async (world, before) => {
      for (const uid of before.live.keys()) await world.instances.discard(uid)
    },
  },
  adopt: {
    after: [],
    names: ['guest'],
    replaces: [],
    only: 'docker',
    begin: async (world) => {
      const containerID = await world.instances.stranger()
      // An administrator has assigned the row that names it.
      await world.query(
        `INSERT INTO workspaces (name, runtime, model, namespace, resource_name, backend, observed_generation, spec_hash,
           leader_epoch, instance_id, assigned_namespace) VALUES ($1, 'r', 'm', '', '', 'docker', 0, '', 0, $1, $2)`,
        [containerID, world.namespace],
      )
      await world.place.cluster.apply([workspace(world, 'guest', { adopt: { containerID } })])
    },
    missing: (seen) => {
      const guest = seen.workspaces.find((item) => nameOf(item) === 'guest')
      const row = seen.rows.find(({ id }) => id === guest?.metadata.uid)
      if (row === undefined || guest?.status?.observedGeneration !== guest?.metadata.generation)
        return 'not adopted yet'
      return knows(row, seen) === 'names its instance' ? undefined : `the row of guest ${knows(row, seen)}`
    },
  },
  import: {
    after: [],
    names: team,
    replaces: [],
    begin: (world) => importTeam(world, [{ name: 'Scout', system_prompt: 'You look ahead.' }]),
    missing: (seen) => unready(seen, team) ?? unsettled(seen.orgs[0]),
  },
  // Another prompt, other plugins, one node less and two more.
  reimport: {
    after: ['import'],
    names: later,
    replaces: [...team],
    begin: (world) => {
      const children = ['Envoy', 'Clerk'].map((name) => ({ name, system_prompt: `You are the ${name}.` }))
      return importTeam(world, children, { system_prompt: 'You direct anew.', plugins: ['browser'] })
    },
    missing: (seen) =>
      unready(seen, later) ?? unsettled(seen.orgs[0]) ?? (seen.workspaces.length > 3 ? 'not pruned' : undefined),
  },
  release: {
    after: ['import', 'reimport'],
    names: later,
    replaces: [],
    begin: async (world) => {
      await world.ask('PATCH', world.pathOf('orgimports', 'team'), { spec: { deletionPolicy: 'Retain' } })
      await world.ask('DELETE', world.pathOf('orgimports', 'team'))
    },
    missing: (seen) => {
      if (seen.orgs.length > 0) return 'the OrgImport is still there'
      const owned = seen.workspaces.find(({ metadata }) => (metadata.ownerReferences ?? []).length > 0)
      return owned === undefined ? unready(seen, later) : `${nameOf(owned)} still has an owner`
    },
    clean: (world) => world.ask('DELETE', `/api/v1/namespaces/${world.namespace}/configmaps`),
  },
  staff,
  approve,
}

const edit = (world: World, name: string, spec: object): Promise<unknown> =>
  world.ask('PATCH', world.pathOf('workspaces', name), { spec })

async function importTeam(world: World, children: readonly object[], more: object = {}): Promise<void> {
  const director = { name: 'Director', system_prompt: 'You direct.', plugins: ['audit'], children, ...more }
  const inline = { name: 'Team', workspaces: [director] }
  const metadata = { name: 'team', namespace: world.namespace }
  const spec = { source: { inline }, prune: 'Delete' }
  await world.place.cluster.apply([{ apiVersion: 'molecule.dev/v1alpha1', kind: 'OrgImport', metadata, spec }])
}

/** As the default one, but another, with another image. */
export async function makeRuntime(world: World, name: string): Promise<void> {
  const { items } = (await world.ask('GET', '/apis/molecule.dev/v1alpha1/runtimes')) as {
    items: { spec: { image: string; default?: boolean } }[]
  }
  const image = await world.instances.another(items.find(({ spec }) => spec.default === true)?.spec.image ?? '')
  const runtime = { apiVersion: 'molecule.dev/v1alpha1', kind: 'Runtime', metadata: { name }, spec: { image } }
  await world.place.cluster.apply([runtime])
}

async function applySecret(world: World, value: string): Promise<void> {
  const metadata = { name: 'keys', namespace: world.namespace }
  await until(() =>
    world.place.cluster.apply([{ apiVersion: 'v1', kind: 'Secret', metadata, stringData: { KEY: value } }]),
  )
}

export const workspace = (world: World, name: string, spec: object) => ({
  apiVersion: 'molecule.dev/v1alpha1',
  kind: 'Workspace',
  metadata: { name, namespace: world.namespace },
  spec: { backend: world.instances.backend, ...spec },
})
