/** What happens to a small organisation while the operator is killed: each act ends in a state that can be named. */
import type { Workspace } from '../../src/api/workspace.ts'
import { until } from '../support/until.ts'
import type { Row, Seen, World } from './world.ts'

export const actNames = ['create', 'replace', 'crash', 'remove', 'import'] as const
export type ActName = (typeof actNames)[number]

export interface Act {
  /** What must have been played before. */
  readonly after: readonly ActName[]
  /** Display names that it is about. */
  readonly names: readonly string[]
  /** Those whose instance it asks to be another. */
  readonly replaces: readonly string[]
  begin(world: World, before: Seen): Promise<void>
  /** What is not yet as it should be in the end, in words. */
  missing(seen: Seen, before: Seen): string | undefined
}

const pair = ['lead', 'hand']
const team = ['Director', 'Scout']

export const acts: Readonly<Record<ActName, Act>> = {
  create: {
    after: [],
    names: pair,
    replaces: [],
    begin: async (world) => {
      const env = [{ name: 'KEY', valueFrom: { secretKeyRef: { name: 'keys', key: 'KEY' } } }]
      await applySecret(world, 'first')
      await world.place.cluster.apply([
        workspace(world, 'lead', { role: 'Leads' }),
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
  remove: {
    after: ['create'],
    names: pair,
    replaces: pair,
    begin: async (world) => {
      for (const name of pair) await world.ask('DELETE', world.pathOf('workspaces', name))
    },
    missing: gone,
  },
  import: {
    after: [],
    names: team,
    replaces: [],
    begin: async (world) => {
      const scout = { name: 'Scout', system_prompt: 'You look ahead.' }
      const inline = {
        name: 'Team',
        workspaces: [{ name: 'Director', system_prompt: 'You direct.', children: [scout] }],
      }
      const metadata = { name: 'team', namespace: world.namespace }
      await world.place.cluster.apply([
        { apiVersion: 'molecule.dev/v1alpha1', kind: 'OrgImport', metadata, spec: { source: { inline } } },
      ])
    },
    missing: (seen) => unready(seen, team) ?? unsettled(seen.orgs[0]),
  },
}

/** Everything there is, deleted. */
export async function removeAll(world: World): Promise<void> {
  const seen = await world.look()
  for (const { metadata } of seen.orgs) await world.ask('DELETE', world.pathOf('orgimports', metadata.name))
  const roots = seen.workspaces.filter(({ metadata }) => metadata.ownerReferences === undefined)
  for (const { metadata } of roots) await world.ask('DELETE', world.pathOf('workspaces', metadata.name))
}

export function gone(seen: Seen): string | undefined {
  const objects = [...seen.workspaces, ...seen.orgs].map(({ metadata }) => metadata.name)
  if (objects.length > 0) return `still there: ${objects.join(', ')}`
  const rows = seen.rows.filter(({ status, tokens }) => status !== 'removed' || tokens !== '0')
  if (rows.length > 0) return `rows not removed: ${rows.map(({ name }) => name).join(', ')}`
  return seen.live.size > 0 ? `${seen.live.size} instances of nobody` : undefined
}

/**
 * The end of an act in words that two runs have in common: no ids, times, ports or messages. A row must name the very
 * instance that runs.
 */
export function endState(seen: Seen, names: readonly string[]): Record<string, string> {
  const state: Record<string, string> = {}
  for (const item of seen.workspaces.filter((one) => names.includes(nameOf(one)))) {
    const { generation, finalizers } = item.metadata
    const judged = (item.status?.conditions ?? []).map(({ type, status, reason }) => `${type}=${status}/${reason}`)
    const fresh = item.status?.observedGeneration === generation ? 'observed' : 'not observed'
    const words = [`generation ${generation}`, fresh, item.status?.phase, ...(finalizers ?? []), ...judged.sort()]
    state[`Workspace ${nameOf(item)}`] = words.join(' ')
    state[`instances of ${nameOf(item)}`] = String(seen.live.get(item.metadata.uid)?.length ?? 0)
  }
  for (const row of seen.rows.filter(({ name }) => names.includes(name)))
    state[`row ${row.name}`] = [
      row.status,
      row.parent ? 'child' : 'root',
      row.role,
      row.observed_generation,
      row.tokens,
      knows(row, seen),
    ].join(' ')
  return state
}

export const nameOf = ({ spec, metadata }: Workspace): string => spec.displayName ?? metadata.name

/** Ids of what runs for the workspace of that display name. */
export function liveOf(seen: Seen, name: string): readonly string[] {
  const found = seen.workspaces.find((item) => nameOf(item) === name)
  return (found && seen.live.get(found.metadata.uid)) ?? []
}

/** Why the workspaces are not all Ready with one instance that their row names. */
export function unready(seen: Seen, names: readonly string[]): string | undefined {
  for (const name of names) {
    const item = seen.workspaces.find((one) => nameOf(one) === name)
    if (item === undefined) return `no Workspace ${name}`
    const lack = unsettled(item)
    if (lack !== undefined) return lack
    const row = seen.rows.find(({ id }) => id === item.metadata.uid)
    if (row?.status !== 'online') return `the row of ${name} is ${row?.status ?? 'missing'}`
    if (knows(row, seen) !== 'names its instance') return `the row of ${name} ${knows(row, seen)}`
  }
  return undefined
}

/** A row's instance is `pid-N-launch` or the id of a container; from outside the pid, or the same id, is seen. */
function knows({ id, instance_id: instance }: Row, seen: Seen): string {
  const [found, ...more] = seen.live.get(id) ?? []
  if (found === undefined) return 'has no instance'
  const same = instance === found || instance?.startsWith(`pid-${found}-`) === true
  return same && more.length === 0 ? 'names its instance' : 'names another instance'
}

interface Judged {
  readonly metadata: { readonly name: string; readonly generation: number }
  readonly status?:
    | Workspace['status']
    | { readonly observedGeneration?: number; readonly conditions?: readonly { type: string; status: string }[] }
}

function unsettled(item: Judged | undefined): string | undefined {
  if (item === undefined) return 'no OrgImport'
  const { metadata, status } = item
  const ready = status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true
  return ready && status?.observedGeneration === metadata.generation ? undefined : `${metadata.name} is not Ready`
}

function sameAs(seen: Seen, before: Seen, name: string): string | undefined {
  const old = liveOf(before, name)
  return liveOf(seen, name).some((id) => old.includes(id)) ? `${name} still has its old instance` : undefined
}

async function applySecret(world: World, value: string): Promise<void> {
  const metadata = { name: 'keys', namespace: world.namespace }
  await until(() =>
    world.place.cluster.apply([{ apiVersion: 'v1', kind: 'Secret', metadata, stringData: { KEY: value } }]),
  )
}

const workspace = (world: World, name: string, spec: object) => ({
  apiVersion: 'molecule.dev/v1alpha1',
  kind: 'Workspace',
  metadata: { name, namespace: world.namespace },
  spec,
})
