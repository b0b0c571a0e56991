/** Row 2: sustained edits, 16 at once, each waiting until its generation is observed; beside raw pairs of patches. */
import { figure, type Figure } from '../figure.ts'
import { createObjects, describeObjects, loop, nameOf, pairs, quantile } from '../raw.ts'
import type { Bench } from '../rig.ts'
import { warm } from '../rig.ts'
import { interleave, remark, spread } from '../rounds.ts'
import { synced } from '../watcher.ts'

const width = 16

export async function editRows(bench: Bench): Promise<Figure[]> {
  if (!bench.options.rows.has(2)) return []
  const result = await interleave(
    bench.options.rounds,
    () => rawEdits(bench),
    () => operatorEdits(bench),
    (line) => bench.report(`row 2: ${line}`),
  )
  const rates = spread(result.pairs.map(({ measured }) => measured.rate))
  const times = result.pairs.flatMap(({ measured }) => measured.times)
  const ms = (q: number): string => `${Math.round(quantile(times, q))} ms`
  return [
    figure({
      row: 2,
      measure: `edits synced a second, ${width} at once`,
      value: rates.median,
      unit: '/s',
      bound: quantile(
        result.pairs.map(({ bound }) => bound),
        0.5,
      ),
      ratio: quantile(
        result.pairs.map(({ bound, measured }) => measured.rate / bound),
        0.5,
      ),
      goal: { of: 'ratio', least: 0.85 },
      spread: rates,
      note: [`p50 ${ms(0.5)}, p99 ${ms(0.99)}`, ...[remark(result) ?? []].flat()].join('; '),
    }),
  ]
}

async function rawEdits(bench: Bench): Promise<number> {
  await using rig = await bench.fresh()
  await createObjects(rig.api, width, 'external')
  await describeObjects(rig.api, width)
  await pairs(rig.api, width * 4, width)
  return await pairs(rig.api, bench.options.n, width)
}

async function operatorEdits(bench: Bench): Promise<{ rate: number; times: number[] }> {
  const { n } = bench.options
  await using rig = await bench.fresh()
  const { operator, watcher } = await rig.running('external', synced)
  await using stack = new AsyncDisposableStack()
  stack.use(operator)
  stack.use(watcher)
  await createObjects(rig.api, width, 'external')
  await operator.outlives(watcher.untilDone(width + warm, 60_000))

  const times: number[] = []
  const edit = async (i: number): Promise<void> => {
    const begun = performance.now()
    const name = nameOf(i % width)
    times.push((await watcher.until(name, await rig.api.edit(name, `Agent, edit ${i}`))) - begun)
  }
  await loop(width * 4, width, edit)
  times.length = 0
  const took = await operator.outlives(loop(n, width, edit))
  return { rate: n / took, times }
}
