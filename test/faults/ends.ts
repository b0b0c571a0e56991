/** What the end of an act is judged by: rows, objects and instances as they are found from outside. */
import type { Workspace } from '../../src/api/workspace.ts'
import type { Row, Seen, World } from './world.ts'

/** Everything there is, deleted. */
export async function removeAll(world: World): Promise<void> {
  const seen = await world.look()
  for (const { metadata } of seen.orgs) await world.ask('DELETE', world.pathOf('orgimports', metadata.name))
  for (const plural of ['workspaces', 'plugininstalls'] as const) {
    const items = plural === 'workspaces' ? seen.workspaces : seen.installs
    const roots = items.filter(({ metadata }) => metadata.ownerReferences === undefined)
    for (const { metadata } of roots) await world.ask('DELETE', world.pathOf(plural, metadata.name))
  }
}

export function gone(seen: Seen): string | undefined {
  const objects = [...seen.workspaces, ...seen.orgs, ...seen.installs].map(({ metadata }) => metadata.name)
  if (objects.length > 0) return `still there: ${objects.join(', ')}`
  const lack = unremoved(seen)
  return lack ?? (seen.live.size > 0 ? `${seen.live.size} instances of nobody` : undefined)
}

/** Rows whose object is gone and that are not `removed` with all their tokens. */
export function unremoved({ rows, workspaces }: Seen): string | undefined {
  const known = new Set(workspaces.map(({ metadata }) => metadata.uid))
  const left = rows.filter(({ id, status, tokens }) => !known.has(id) && (status !== 'removed' || tokens !== '0'))
  return left.length > 0 ? `rows not removed: ${left.map(({ name }) => name).join(', ')}` : undefined
}

/**
 * The end of an act in words that two runs have in common: no ids, times, ports or messages. A row must name the very
 * instance that runs. Rows that were removed before the act are no part of it.
 */
export function endState(seen: Seen, names: readonly string[], before: Seen): Record<string, string> {
  const over = new Set(before.rows.filter(({ status }) => status === 'removed').map(({ id }) => id))
  const known = new Set(before.rows.map(({ id }) => id))
  const state: Record<string, string> = {
    Workspaces: String(seen.workspaces.length),
    'rows made': String(seen.rows.filter(({ id }) => !known.has(id)).length),
  }
  for (const { metadata, status } of seen.orgs) {
    const judged = (status?.conditions ?? []).map(({ type, status, reason }) => `${type}=${status}/${reason}`)
    state[`OrgImport ${metadata.name}`] = judged.sort().join(' ')
  }
  const displayed = new Map(seen.workspaces.map((item) => [item.metadata.name, nameOf(item)]))
  for (const { spec } of seen.installs) {
    const targets = (spec.targets.names ?? []).map((name) => displayed.get(name) ?? name)
    state[`PluginInstall ${spec.source}`] = targets.join(', ')
  }
  for (const item of seen.workspaces.filter((one) => names.includes(nameOf(one)))) {
    const { generation, finalizers, uid } = item.metadata
    const judged = (item.status?.conditions ?? []).map(({ type, status, reason }) => `${type}=${status}/${reason}`)
    const fresh = item.status?.observedGeneration === generation ? 'observed' : 'not observed'
    const words = [fresh, item.status?.phase, ...(finalizers ?? []), ...judged.sort()]
    state[`Workspace ${nameOf(item)}`] = words.join(' ')
    state[`instances of ${nameOf(item)}`] = String(seen.live.get(uid)?.length ?? 0)
    const row = seen.rows.find(({ id }) => id === uid)
    state[`generation of ${nameOf(item)}`] = Number(row?.observed_generation) === generation ? 'recorded' : 'another'
  }
  for (const row of seen.rows.filter(({ id, name }) => names.includes(name) && !over.has(id)))
    state[`row ${row.name}`] = [
      row.status,
      row.parent ? 'child' : 'root',
      row.role,
      `${row.tokens} tokens`,
      `${row.leaks} leaks`,
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

/** Why they are not all Ready without an instance, in that phase. */
export function notAtRest(seen: Seen, names: readonly string[], phase: 'paused' | 'hibernated'): string | undefined {
  for (const name of names) {
    const item = seen.workspaces.find((one) => nameOf(one) === name)
    const lack = unsettled(item)
    if (lack !== undefined || item === undefined) return lack
    const row = seen.rows.find(({ id }) => id === item.metadata.uid)
    if (row?.status !== phase) return `the row of ${name} is ${row?.status ?? 'missing'}`
    if (liveOf(seen, name).length > 0) return `${name} still has an instance`
  }
  return undefined
}

/** A row's instance is `pid-N-launch` or the id of a container; from outside the pid, or the same id, is seen. */
export function knows({ id, instance_id: instance }: Row, seen: Seen): string {
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

export function unsettled(item: Judged | undefined): string | undefined {
  if (item === undefined) return 'no such object'
  const { metadata, status } = item
  const ready = status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true
  return ready && status?.observedGeneration === metadata.generation ? undefined : `${metadata.name} is not Ready`
}

export function sameAs(seen: Seen, before: Seen, name: string): string | undefined {
  const old = liveOf(before, name)
  return liveOf(seen, name).some((id) => old.includes(id)) ? `${name} still has its old instance` : undefined
}
