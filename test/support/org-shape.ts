/** A tree as two imports of one template have it in common: by paths, references written out, no ids, no times. */
import type { Client } from 'pg'
import type { Workspace } from '../../src/api/workspace.ts'
import type { Cluster } from '../../src/dev/cluster.ts'

const pathOf = ({ metadata }: Workspace) => metadata.annotations?.['molecule.dev/org-node'] ?? metadata.name

/** Specs of the Workspaces with their files' texts, and the plugins with their targets. */
export async function specsOf(cluster: Cluster, ns: string, workspaces: readonly Workspace[]) {
  const paths = new Map(workspaces.map((each) => [each.metadata.name, pathOf(each)]))
  const list = async <T>(kind: string) => ((await cluster.getJson(kind, '-n', ns)) as { items: T[] }).items
  const maps = await list<{ metadata: { name: string }; data?: Record<string, string> }>('configmaps')
  const texts = new Map(maps.map(({ metadata, data }) => [metadata.name, data ?? {}]))
  const installs = await list<{ spec: { source: string; targets: { names: string[] } } }>('plugininstalls')
  const tree = workspaces.map((each) => {
    const { parentRef, files = [], ...rest } = each.spec
    const written = files.map(({ path, configMapKeyRef: { name, key } }) => [path, texts.get(name)?.[key]])
    return [pathOf(each), { ...rest, parent: parentRef && paths.get(parentRef.name), files: written }] as const
  })
  return {
    tree: sorted(tree),
    plugins: installs
      .flatMap(({ spec }) => spec.targets.names.map((name) => `${spec.source} on ${paths.get(name) ?? name}`))
      .toSorted(),
  }
}

/** Ids, times, versions, digests of texts in which ids are, and what only the agents say. */
const own = new Set(
  [
    'id workspace_id parent_id owner_uid namespace resource_name leader_epoch observed_generation instance_id url',
    'created_at updated_at status_since wanted_since launched_at registered_at signalled_at last_heartbeat_at',
    'last_task_at next_run_at reckoned_from spec_hash launched_hash parts_hash credentials credentials_digest',
    'agent_card uptime_seconds restarts phase_reason inbound_secret restart_context',
  ].flatMap((line) => line.split(' ')),
)
const parts = [
  'canvas_layouts',
  'workspace_schedules',
  'workspace_channels',
  'agent_memories',
  'workspace_declared_plugins',
]

/** Rows of a tree with those of their parts, by path. */
export async function rowsOf(db: Client, workspaces: readonly Workspace[]) {
  const paths = new Map(workspaces.map((each) => [each.metadata.uid, pathOf(each)]))
  const read = async (table: string, id: string) => {
    const sql = `SELECT ${id} AS id, to_jsonb(t) AS row FROM ${table} t WHERE ${id} = ANY($1)`
    const { rows } = await db.query<{ id: string; row: Record<string, unknown> }>(sql, [[...paths.keys()]])
    return rows
  }
  const found = new Map<string, { row: unknown; parent: string | undefined; parts: string[] }>()
  for (const { id, row } of await read('workspaces', 'id')) {
    const { parent_id: above } = row
    const parent = typeof above === 'string' ? paths.get(above) : undefined
    found.set(paths.get(id) ?? id, { row: common(row), parent, parts: [] })
  }
  for (const table of parts)
    for (const { id, row } of await read(table, 'workspace_id'))
      found.get(paths.get(id) ?? id)?.parts.push(`${table} ${JSON.stringify(common(row))}`)
  for (const each of found.values()) each.parts.sort()
  return sorted([...found])
}

const common = (row: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(row).filter(([column]) => !own.has(column)))

const sorted = <T>(entries: readonly (readonly [string, T])[]) =>
  new Map(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)))
