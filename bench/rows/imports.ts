/** Row 8: one OrgImport of N nodes, applied, applied again, edited in one node; and ten at once. */
import { setTimeout as sleep } from 'node:timers/promises'
import { apiVersion } from '../../src/api/meta.ts'
import type { Api } from '../api.ts'
import { namespace } from '../api.ts'
import { figure, type Figure } from '../figure.ts'
import { burst, quantile } from '../raw.ts'
import { type Bench, type Rig, warm } from '../rig.ts'
import { interleave, remark, spread } from '../rounds.ts'
import { synced } from '../watcher.ts'

const path = `/apis/${apiVersion}/namespaces/${namespace}/orgimports`

/** A root, whose name no other may have, and everybody below it, ten to a lead. No files: a ConfigMap is not what is measured. */
function template(root: string, size: number, firstTier = 2): object {
  const node = (i: number) => ({ name: `Agent ${i}`, external: true, tier: i === 1 ? firstTier : 2 })
  const leads = Array.from({ length: Math.ceil((size - 1) / 11) }, (_, i) => ({
    ...node(1 + i * 11),
    children: Array.from({ length: Math.min(10, size - 2 - i * 11) }, (_member, j) => node(2 + i * 11 + j)),
  }))
  return { inline: { name: 'Bench', workspaces: [{ name: root, external: true, tier: 2, children: leads }] } }
}

const create = (api: Api, name: string, size: number): Promise<string> =>
  api.send('POST', path, {
    apiVersion,
    kind: 'OrgImport',
    metadata: { name, namespace },
    spec: { source: template(name, size) },
  })

interface Org {
  readonly metadata: { readonly generation: number; readonly uid: string }
  readonly status?: {
    readonly observedGeneration?: number
    readonly lastHandledReconcileAt?: string
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
  }
}
const read = async (api: Api, name: string) => JSON.parse(await api.send('GET', `${path}/${name}`)) as Org

export async function importRows(bench: Bench): Promise<Figure[]> {
  if (!bench.options.rows.has(8)) return []
  return [...(await timed(bench)), ...(await counted(bench)), ...(await together(bench))]
}

async function timed(bench: Bench): Promise<Figure[]> {
  const { n, rounds } = bench.options
  const result = await interleave(
    rounds,
    async () => {
      await using rig = await bench.fresh()
      await rig.warmUp('external')
      return await burst(rig.api, n)
    },
    async () => {
      await using rig = await bench.fresh()
      return await imported(rig, n)
    },
    (line) => bench.report(`row 8: ${line}`),
  )
  const median = (values: readonly number[]) => quantile(values, 0.5)
  return [
    figure({
      row: 8,
      measure: `import of ${n} nodes → all rows and Workspaces`,
      value: median(result.pairs.map(({ measured }) => measured)),
      unit: 's',
      bound: median(result.pairs.map(({ bound }) => bound)),
      ratio: median(result.pairs.map(({ bound, measured }) => measured / bound)),
      goal: { of: 'ratio', most: 1.3 },
      spread: spread(result.pairs.map(({ measured }) => measured)),
      note: remark(result),
    }),
  ]
}

/** Seconds from the import to the last Workspace that was looked at. */
async function imported(rig: Rig, n: number): Promise<number> {
  const { operator, watcher } = await rig.running('external', synced)
  await using stack = new AsyncDisposableStack()
  stack.use(operator)
  stack.use(watcher)
  const begun = performance.now()
  await create(rig.api, 'bench', n)
  const ended = await operator.outlives(watcher.untilDone(n + warm, 60_000 + n * 60))
  const rows = await rig.liveRows()
  if (rows !== n + warm) throw new Error(`${n + warm} were reported done, but ${rows} rows exist`)
  return (ended - begun) / 1000
}

async function counted(bench: Bench): Promise<Figure[]> {
  const { n } = bench.options
  await using rig = await bench.fresh()
  const { operator, watcher } = await rig.running('external', synced)
  await using stack = new AsyncDisposableStack()
  stack.use(operator)
  stack.use(watcher)
  await sleep(2000)
  const before = await rig.statements()
  await create(rig.api, 'bench', n)
  await operator.outlives(watcher.untilDone(n + warm, 60_000 + n * 60))
  // What follows the last status (events, the status of the import itself) belongs to it as well.
  await sleep(5000)
  const statements = (await rig.statements()) - before
  const again = await passed(rig, { metadata: { annotations: { 'molecule.dev/reconcile-requested-at': 'again' } } })
  const edit = await passed(rig, { spec: { source: template('bench', n, 3) } })
  return [
    figure({
      row: 8,
      measure: 'SQL statements per 200 nodes',
      value: (statements / n) * 200,
      unit: '',
      bound: 1,
      goal: { of: 'value', most: 10 },
    }),
    figure({
      row: 8,
      measure: 'requests of a second apply',
      value: again.requests,
      unit: '',
      bound: 1,
      goal: { of: 'value', most: 2 },
    }),
    figure({
      row: 8,
      measure: 'time of a second apply',
      value: again.seconds,
      unit: 's',
      bound: 0,
      goal: { of: 'value', most: 1 },
    }),
    figure({
      row: 8,
      measure: `one of ${n} nodes edited → its row`,
      value: edit.seconds,
      unit: 's',
      bound: 0,
      goal: { of: 'value', most: 1 },
      note: `${edit.requests} requests`,
    }),
  ]
}

/** A change of the import, and how long until it is seen through; with the requests that followed from it. */
async function passed(rig: Rig, patch: object): Promise<{ seconds: number; requests: number }> {
  const before = (await rig.requests()).all
  const begun = performance.now()
  const { metadata } = JSON.parse(await rig.api.send('PATCH', `${path}/bench`, patch)) as Org
  let reads = 0
  for (;;) {
    reads++
    const { status } = await read(rig.api, 'bench')
    const asked = 'metadata' in patch ? status?.lastHandledReconcileAt === 'again' : true
    if (asked && status?.observedGeneration === metadata.generation) break
    await sleep(20)
  }
  if ('spec' in patch) while (!(await tierReached(rig))) await sleep(20)
  const seconds = (performance.now() - begun) / 1000
  await sleep(2000)
  const requests = (await rig.requests()).all - before - reads - 1
  return { seconds, requests }
}

const tierReached = async (rig: Rig): Promise<boolean> => (await rig.rowsOfTier(3)) === 1

/** Ten imports of a fifth of N each: how much later the last of them makes its first Workspace than the first. */
async function together(bench: Bench): Promise<Figure[]> {
  const size = Math.ceil(bench.options.n / 5)
  const count = 10
  await using rig = await bench.fresh()
  const { operator, watcher } = await rig.running('external', synced)
  await using stack = new AsyncDisposableStack()
  stack.use(operator)
  stack.use(watcher)
  const begun = Date.now()
  await Promise.all(Array.from({ length: count }, (_, i) => create(rig.api, `bench-${i}`, size).then(() => undefined)))
  await operator.outlives(watcher.untilDone(count * size + warm, 60_000 + count * size * 60))
  const last = Math.max(...(await beginnings(rig.api))) - begun
  const { peak } = await operator.memory()
  return [
    figure({
      row: 8,
      measure: `${count} imports of ${size} at once: the last one starts`,
      value: Math.max(0, last / 1000),
      unit: 's',
      bound: 0,
      goal: { of: 'value', most: 2 },
      note: `whole seconds; peak memory ${Math.round(peak)} MiB`,
    }),
  ]
}

/** When each import made its first Workspace, as the API server stamped it. */
async function beginnings(api: Api): Promise<number[]> {
  const list = await api.send('GET', `/apis/${apiVersion}/namespaces/${namespace}/workspaces`)
  const { items } = JSON.parse(list) as {
    items: { metadata: { creationTimestamp: string; ownerReferences?: [{ uid: string }] } }[]
  }
  const first = new Map<string, number>()
  for (const { metadata } of items) {
    const owner = metadata.ownerReferences?.[0].uid
    if (owner === undefined) continue
    const at = Date.parse(metadata.creationTimestamp)
    first.set(owner, Math.min(first.get(owner) ?? at, at))
  }
  return [...first.values()]
}
