/** Rows 4 and 6: what many Workspaces cost when nothing happens. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { figure, type Figure } from '../figure.ts'
import { memoryOf } from '../operator.ts'
import { createObjects } from '../raw.ts'
import { type Bench, type Rig, warm } from '../rig.ts'
import { synced } from '../watcher.ts'

/** How long idleness is watched; a minute's figures are taken from it. */
const idle = 60_000

export async function sizeRows(bench: Bench): Promise<Figure[]> {
  const { rows, large } = bench.options
  if (!rows.has(4) && !rows.has(6)) return []
  await using rig = await bench.fresh()
  bench.report('row 4: a minute of the API server alone')
  const alone = rows.has(4) ? await perMinute(rig) : 0
  // As in a cluster: its lease is most of what an idle operator asks for.
  const { operator, watcher } = await rig.running('external', synced, { LEADER_ELECT: 'true' })
  await using stack = new AsyncDisposableStack()
  stack.use(operator)
  stack.use(watcher)
  await sleep(5000)
  bench.report(`row 4: a minute at ${warm} Workspaces`)
  const few = rows.has(4) ? (await perMinute(rig)) - alone : 0

  bench.report(`rows 4 and 6: making ${large} Workspaces`)
  await createObjects(rig.api, large, 'external')
  await operator.outlives(watcher.untilDone(large + warm, 60_000 + large * 60))
  await sleep(5000)
  bench.report(`rows 4 and 6: a minute at ${large} Workspaces`)
  const many = (await operator.outlives(perMinute(rig))) - alone
  const { rss, peak } = await operator.memory()
  const bare = await bareNode()
  const bytes = (await rig.api.list()).items.reduce((sum, item) => sum + JSON.stringify(item).length, 0)
  const bound = bare + bytes / 2 ** 20
  return [
    figure({
      row: 4,
      measure: `idle requests a minute at ${large}`,
      value: many,
      unit: '/min',
      bound: 30,
      goal: { of: 'value', most: 31 },
      note: `${alone}/min of the API server's own taken off; ${few} at ${warm} Workspaces`,
    }),
    figure({
      row: 6,
      measure: `RSS at ${large}, steady`,
      value: rss,
      unit: 'MiB',
      bound,
      goal: { of: 'value', most: 120 },
    }),
    figure({
      row: 6,
      measure: `RSS at ${large}, peak`,
      value: peak,
      unit: 'MiB',
      bound,
      goal: { of: 'value', most: 160 },
      note: `bare node ${Math.round(bare)} MiB and ${Math.round(bytes / 2 ** 20)} MiB of JSON`,
    }),
  ].filter(({ row }) => rows.has(row as 4))
}

async function perMinute(rig: Rig): Promise<number> {
  const before = await rig.allRequests()
  await sleep(idle)
  // Our own two looks at the metrics have no resource and are not counted.
  return Math.round((((await rig.allRequests()) - before) * 60_000) / idle)
}

async function bareNode(): Promise<number> {
  const child = spawn(process.execPath, ['-e', 'console.log(1); setInterval(() => {}, 1e6)'])
  await once(child.stdout, 'data')
  const { rss } = await memoryOf(child.pid ?? 0)
  child.kill('SIGKILL')
  await once(child, 'exit')
  return rss
}
