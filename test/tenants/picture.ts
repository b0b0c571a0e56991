/**
 * All that the neighbour has, as sorted lines of text in which nothing is left that differs between two namespaces of the
 * same life: ids become names, times and digests become words.
 */
import type { Neighbour } from './neighbour.ts'
import type { World } from './world.ts'

/** Of a beat, of when the scheduler comes by, or of the order in which a whole database was written. */
const restless = new Set([
  'last_heartbeat_at',
  'next_run_at',
  'uptime_seconds',
  'signalled_at',
  'updated_at',
  'last_used_at',
  'leader_epoch',
  'seq',
  'prefix',
  'reconcileId',
  'reconcile_id',
  'resourceVersion',
  'managedFields',
  'agent',
  'history',
])

export async function pictureOf(neighbour: Neighbour, world: World): Promise<string[]> {
  const objects = await neighbour.objects()
  const rows = await rowsOf(neighbour, world)
  const lines = [
    ...objects.map((object) => `object ${line(object)}`),
    ...rows,
    ...(await instancesOf(neighbour, world)),
    ...neighbour.received.map((body) => `received ${body}`),
  ]
  return lines.map((text) => anonymous(text, neighbour)).sort()
}

/** Lines that only one of the two has; of two that begin alike, from where they differ on. */
export function difference(expected: readonly string[], found: readonly string[]): string[] {
  const rest = [...found]
  const lost = expected.filter((text) => {
    const at = rest.indexOf(text)
    if (at >= 0) rest.splice(at, 1)
    return at < 0
  })
  const lines = lost.map((text) => {
    const [closest] = rest.toSorted((a, b) => alike(text, b) - alike(text, a))
    const from = closest === undefined ? 0 : alike(text, closest)
    if (closest === undefined || from < 20) return `lacks ${text}`
    rest.splice(rest.indexOf(closest), 1)
    const part = (whole: string) => whole.slice(Math.max(0, from - 80), from + 200)
    return `${text.slice(0, 100)} … is not ${part(text)} … but ${part(closest)}`
  })
  return [...lines, ...rest.map((text) => `has beside ${text}`)]
}

function alike(one: string, other: string): number {
  let at = 0
  while (at < one.length && one[at] === other[at]) at++
  return at
}

const line = (value: object): string =>
  JSON.stringify(value, (key, inner: unknown) => (restless.has(key) ? undefined : readable(inner)))

/** Files as text; base64 of Secrets would hide the mark. */
function readable(value: unknown): unknown {
  const bytes = value as { type?: string; data?: number[] | Record<string, string> } | null
  if (bytes?.type === 'Buffer') return Buffer.from(bytes.data as number[]).toString()
  if (bytes?.type === 'Opaque')
    return Object.values(bytes.data ?? {}).map((text) => Buffer.from(String(text), 'base64').toString())
  return value
}

/** Of every table that names a workspace, an owner or a namespace: one that is added later is looked at as well. */
async function rowsOf(neighbour: Neighbour, { rows }: World): Promise<string[]> {
  const { rows: columns } = await rows.query<{ table_name: string; names: string[] }>(`
    SELECT table_name, array_agg(column_name::text) AS names FROM information_schema.columns
    WHERE table_schema = current_schema() AND column_name IN ('workspace_id', 'owner_uid', 'namespace')
      AND table_name NOT IN ('agent_memories') OR (table_name = 'agent_memories' AND column_name = 'workspace_id')
    GROUP BY table_name`)
  const ids = [...neighbour.known.keys()]
  const found = await Promise.all(
    columns.map(async ({ table_name: table, names }) => {
      const own = names.map((name) => (name === 'namespace' ? 'namespace = $2' : `${name}::text = ANY($1)`))
      if (table === 'workspaces') own.push('id::text = ANY($1)', 'parent_id::text = ANY($1)')
      const text = `SELECT to_jsonb(t) AS row FROM ${table} t WHERE $2 <> '' AND cardinality($1::text[]) > 0 AND (${own.join(' OR ')})`
      const { rows: lines } = await rows.query<{ row: object }>(text, [ids, neighbour.namespace])
      return lines.map(({ row }) => `row of ${table} ${line(row)}`)
    }),
  )
  return found.flat()
}

/** How each was started, all the times, and what runs and is kept now. */
async function instancesOf(neighbour: Neighbour, { launches, backend }: World): Promise<string[]> {
  const lines: string[] = []
  for (const [uid, specs] of launches) {
    if (specs[0]?.ref.namespace !== neighbour.namespace) continue
    neighbour.known.set(uid, neighbour.known.get(uid) ?? specs[0].ref.name)
    specs.forEach((spec, at) => lines.push(`launch ${at} ${line({ ...spec, token: '', specHash: '' })}`))
    const volume = [...(backend.volumes.get(uid) ?? [])].filter(([path]) => !path.startsWith('.'))
    lines.push(
      `instance ${uid} runs ${backend.has(uid)}, removed ${backend.removes.get(uid) ?? 0}, keeps ${JSON.stringify(volume)}`,
    )
  }
  for await (const { id, ref } of backend.owned(AbortSignal.timeout(10_000)))
    if (neighbour.containers.includes(id)) lines.push(`container of the system before is of ${ref.name}`)
  return lines
}

function anonymous(text: string, { known, namespace, mark, runtime }: Neighbour): string {
  const named = text.replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, (id) => {
    const name = known.get(id)
    return name === undefined ? '<id>' : `<${name}>`
  })
  return named
    .replaceAll(namespace, '<namespace>')
    .replaceAll(mark, '<mark>')
    .replaceAll(runtime, '<runtime>')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)/g, '<time>')
    .replaceAll(/http:\/\/127\.0\.0\.1:\d+/g, '<platform>')
    .replaceAll(/(?<![\w-])[\w-]{43}(?![\w-])/g, '<secret>')
    .replaceAll(/fake-\d+/g, '<instance>')
    .replaceAll(/[0-9a-f]{8,}/g, '<digest>')
}
