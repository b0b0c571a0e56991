/** Row 14: a new object does not wait behind old ones, be it that all are looked at again or that many of them fail. */
import { setTimeout as sleep } from 'node:timers/promises'
import { figure, type Figure } from '../figure.ts'
import { createObjects, loop, manifest, quantile } from '../raw.ts'
import { type Bench, type Rig, warm } from '../rig.ts'
import { synced, type Watcher } from '../watcher.ts'

const samples = 200
const rate = 10
const failing = 1000

export async function calmRows(bench: Bench): Promise<Figure[]> {
  const { rows, large } = bench.options
  if (!rows.has(14)) return []
  bench.report(`row 14: making ${large} Workspaces`)
  await using rig = await bench.fresh()
  const { operator, watcher } = await rig.running('external', synced)
  await using stack = new AsyncDisposableStack()
  stack.use(operator)
  stack.use(watcher)
  await createObjects(rig.api, large, 'external')
  await operator.outlives(watcher.untilDone(large + warm, 60_000 + large * 60))
  await sleep(2000)

  const idle = quantile(await operator.outlives(fresh(rig, watcher, 'idle')), 0.99)
  bench.report(`row 14: p99 ${idle.toFixed(1)} ms with nothing else to do`)
  // A Runtime that changes concerns all that use it: every one of them is passed, and none has anything to write.
  const again = setInterval(() => void rig.touchRuntime(), 3000)
  const resync = quantile(await operator.outlives(fresh(rig, watcher, 'resync')), 0.99)
  clearInterval(again)
  await loop(failing, 32, (i) => rig.api.create(broken(i)))
  await operator.outlives(watcher.untilDone(large + warm + 2 * samples + failing, 120_000))
  const beside = quantile(await operator.outlives(fresh(rig, watcher, 'beside')), 0.99)
  const row = (measure: string, value: number, note?: string): Figure =>
    figure({ row: 14, measure, value, unit: 'ms', bound: idle, goal: { of: 'ratio', most: 2 }, note })
  return [
    row(`fresh create p99 while ${large} are passed anew, every three seconds`, resync, `${rate} creates a second`),
    row(`fresh create p99 beside ${failing} that fail`, beside),
  ]
}

/** Refused by the operator, not by admission: there is no such Runtime. */
const broken = (i: number): object => ({
  ...manifest(`broken-${i}`, 'external'),
  spec: { backend: 'external', runtime: 'nowhere' },
})

/** New objects at a fixed rate, whether or not the ones before are done. Milliseconds of each. */
async function fresh(rig: Rig, watcher: Watcher, prefix: string): Promise<number[]> {
  const begun = performance.now()
  const made: Promise<number>[] = []
  for (let i = 0; i < samples; i++) {
    await sleep(Math.max(0, begun + (i * 1000) / rate - performance.now()))
    made.push(create(rig, watcher, `${prefix}-${i}`))
  }
  return Promise.all(made)
}

async function create(rig: Rig, watcher: Watcher, name: string): Promise<number> {
  const begun = performance.now()
  await rig.api.create(manifest(name, 'external'))
  return (await watcher.until(name, 1)) - begun
}
