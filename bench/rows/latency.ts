/** Row 12: from the edit to the status that answers it, at a trickle and at half of what the API server can take. */
import { setTimeout as sleep } from 'node:timers/promises'
import { figure, type Figure } from '../figure.ts'
import { createObjects, nameOf, pairs, quantile, roundTrip } from '../raw.ts'
import { type Bench, type Rig, warm } from '../rig.ts'
import { synced, type Watcher } from '../watcher.ts'

/** Enough objects that no edit meets the one before it on the same object. */
const objects = 200
const seconds = 10

export async function latencyRows(bench: Bench): Promise<Figure[]> {
  if (!bench.options.rows.has(12)) return []
  const bound = await bounds(bench)
  bench.report(`row 12: round trip ${bound.roundTrip.toFixed(1)} ms, ${Math.round(bound.rate)} raw pairs/s`)

  await using rig = await bench.fresh()
  const { operator, watcher } = await rig.running('external', synced)
  await using stack = new AsyncDisposableStack()
  stack.use(operator)
  stack.use(watcher)
  await createObjects(rig.api, objects, 'external')
  await operator.outlives(watcher.untilDone(objects + warm, 60_000))
  const slow = await operator.outlives(openLoop(rig, watcher, 10))
  const half = Math.round(bound.rate / 2)
  const busy = await operator.outlives(openLoop(rig, watcher, half))
  const row = (measure: string, value: number, most: number, note?: string): Figure =>
    figure({ row: 12, measure, value, unit: 'ms', bound: bound.roundTrip, goal: { of: 'value', most }, note })
  const trickleGoal = Number((bound.roundTrip + 10).toFixed(1))
  return [
    row('event → status p50, 10/s', quantile(slow, 0.5), trickleGoal, 'the goal is a round trip and 10 ms'),
    row('event → status p99, 10/s', quantile(slow, 0.99), 250),
    row(`event → status p50, half load (${half}/s)`, quantile(busy, 0.5), 50),
    row(`event → status p99, half load (${half}/s)`, quantile(busy, 0.99), 250),
  ]
}

async function bounds(bench: Bench): Promise<{ roundTrip: number; rate: number }> {
  await using rig = await bench.fresh()
  await createObjects(rig.api, 16, 'external')
  await pairs(rig.api, 64, 16)
  return { roundTrip: await roundTrip(rig.api, 100), rate: await pairs(rig.api, 500, 16) }
}

/** Edits at a fixed rate, whether or not the ones before are answered. Milliseconds of each. */
async function openLoop(rig: Rig, watcher: Watcher, rate: number): Promise<number[]> {
  const begun = performance.now()
  const edits: Promise<number>[] = []
  for (let i = 0; i < rate * seconds; i++) {
    await sleep(Math.max(0, begun + (i * 1000) / rate - performance.now()))
    edits.push(edit(rig, watcher, nameOf(i % objects), `Agent, edit ${i} at ${rate}/s`))
  }
  return Promise.all(edits)
}

async function edit(rig: Rig, watcher: Watcher, name: string, displayName: string): Promise<number> {
  const begun = performance.now()
  return (await watcher.until(name, await rig.api.edit(name, displayName))) - begun
}
