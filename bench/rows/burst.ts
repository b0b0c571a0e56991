/** Rows 1, 3, 9, 13: N Workspaces applied at once, timed in pairs with the raw loop, and counted in a run of its own. */
import { setTimeout as sleep } from 'node:timers/promises'
import { figure, type Figure } from '../figure.ts'
import type { BackendName } from '../options.ts'
import { burst, createObjects, manifest, quantile } from '../raw.ts'
import { type Bench, warm } from '../rig.ts'
import { interleave, remark, spread } from '../rounds.ts'
import { ready, synced, type Done } from '../watcher.ts'

/** Seconds of CPU that a Workspace costs at the least: a request of 140 µs and its part of a statement, 10 µs. */
const cpuBound = 150e-6

const doneFor = (backend: BackendName): Done => (backend === 'external' ? synced : ready)
const deadline = (n: number): number => 60_000 + n * 60

interface Burst {
  readonly seconds: number
  readonly cpu: number
}

export async function burstRows(bench: Bench): Promise<Figure[]> {
  const { rows, backends } = bench.options
  const figures: Figure[] = []
  for (const backend of backends) {
    if (rows.has(1) || rows.has(13)) figures.push(...(await timed(bench, backend)))
    if (rows.has(3) || rows.has(9)) figures.push(...(await counted(bench, backend)))
  }
  return figures.filter(({ row }) => rows.has(row as 1))
}

async function timed(bench: Bench, backend: BackendName): Promise<Figure[]> {
  const { n, rounds } = bench.options
  const result = await interleave(
    rounds,
    () => rawBurst(bench),
    () => operatorBurst(bench, backend),
    (line) => bench.report(`row 1, ${backend}: ${line}`),
  )
  const note = remark(result)
  const seconds = spread(result.pairs.map(({ measured }) => measured.seconds))
  const cpu = spread(result.pairs.map(({ measured }) => (measured.cpu / n) * 1000))
  return [
    figure({
      row: 1,
      measure: `apply ${n} → all ${backend === 'external' ? 'synced' : 'Ready'}, ${backend}`,
      value: seconds.median,
      unit: 's',
      bound: quantile(
        result.pairs.map(({ bound }) => bound),
        0.5,
      ),
      ratio: quantile(
        result.pairs.map(({ bound, measured }) => measured.seconds / bound),
        0.5,
      ),
      goal: { of: 'ratio', most: 1.25 },
      spread: seconds,
      note,
    }),
    figure({
      row: 13,
      measure: `CPU of the operator per 1,000, ${backend}`,
      value: cpu.median,
      unit: 's',
      bound: cpuBound * 1000,
      goal: { of: 'value', most: 0.6 },
      spread: cpu,
      note,
    }),
  ]
}

async function rawBurst(bench: Bench): Promise<number> {
  await using rig = await bench.fresh()
  await rig.warmUp('external')
  return await burst(rig.api, bench.options.n)
}

async function operatorBurst(bench: Bench, backend: BackendName): Promise<Burst> {
  const { n } = bench.options
  await using rig = await bench.fresh()
  const { operator, watcher } = await rig.running(backend, doneFor(backend))
  await using stack = new AsyncDisposableStack()
  stack.use(operator)
  stack.use(watcher)
  const cpu = await operator.cpu()
  const begun = performance.now()
  await createObjects(rig.api, n, backend)
  const ended = await operator.outlives(watcher.untilDone(n + warm, deadline(n)))
  const spent = (await operator.cpu()) - cpu
  const rows = await rig.liveRows()
  if (rows !== n + warm) throw new Error(`${n + warm} were reported done, but ${rows} rows exist`)
  return { seconds: (ended - begun) / 1000, cpu: spent }
}

/** Counts what the API server and PostgreSQL saw of one burst and of one single create. */
async function counted(bench: Bench, backend: BackendName): Promise<Figure[]> {
  const { n } = bench.options
  await using rig = await bench.fresh()
  const { operator, watcher } = await rig.running(backend, doneFor(backend))
  await using stack = new AsyncDisposableStack()
  stack.use(operator)
  stack.use(watcher)

  const seen = async () => ({
    requests: await rig.requests(),
    statements: await rig.statements(),
    // Its own word, beside the others': a difference between the two is a bug of one of them.
    ownRequests: await operator.counter('molecule_operator_api_requests_total', (labels) => !labels.includes('watch')),
    ownStatements: await operator.counter('molecule_operator_sql_statements_total'),
  })
  // What follows the last status (events, flushes) belongs to the burst as well.
  const settled = () => sleep(2000)

  await settled()
  const before = await seen()
  await createObjects(rig.api, n, backend)
  await operator.outlives(watcher.untilDone(n + warm, deadline(n)))
  await settled()
  const after = await seen()
  await rig.api.create(manifest('single', backend))
  await operator.outlives(watcher.until('single', 1))
  const single = (await rig.statements()) - after.statements

  const requests = after.requests.all - before.requests.all - n
  const reads = after.requests.reads - before.requests.reads
  const said = (own: number | undefined, was: number | undefined): string =>
    own === undefined || was === undefined ? 'it keeps no count of its own' : `by its own count ${(own - was) / n}`
  return [
    figure({
      row: 3,
      measure: `API requests per Workspace, ${backend}`,
      value: requests / n,
      unit: '',
      bound: 1,
      goal: { of: 'value', most: 1 },
      note: said(after.ownRequests, before.ownRequests),
    }),
    figure({
      row: 3,
      measure: `GETs and LISTs, ${backend}`,
      value: reads,
      unit: '',
      bound: 0,
      goal: { of: 'value', most: 0 },
    }),
    figure({
      row: 9,
      measure: `SQL statements per Workspace, burst, ${backend}`,
      value: (after.statements - before.statements) / n,
      unit: '',
      bound: 1 / 200,
      goal: { of: 'value', most: 0.05 },
      note: said(after.ownStatements, before.ownStatements),
    }),
    figure({
      row: 9,
      measure: `SQL statements of a single create, ${backend}`,
      value: single,
      unit: '',
      bound: 1,
      goal: { of: 'value', most: 1 },
    }),
  ]
}
