/** Row 5: the operator starts where N Workspaces are as it left them, but for one edit made while it was away. */
import { setTimeout as sleep } from 'node:timers/promises'
import { figure, type Figure } from '../figure.ts'
import { createObjects, list, nameOf, quantile } from '../raw.ts'
import { type Bench, type Rig, warm } from '../rig.ts'
import { spread } from '../rounds.ts'
import { synced, type Watcher } from '../watcher.ts'

interface Restart {
  readonly seconds: number
  readonly patches: number
  readonly statements: number
}

export async function restartRows(bench: Bench): Promise<Figure[]> {
  const { rows, n, large } = bench.options
  if (!rows.has(5)) return []
  return [...(await atSize(bench, n)), ...(large > n ? await atSize(bench, large) : [])]
}

async function atSize(bench: Bench, size: number): Promise<Figure[]> {
  bench.report(`row 5: making ${size} Workspaces`)
  await using rig = await bench.fresh()
  const first = await rig.running('external', synced)
  await using watcher = first.watcher
  await using operator = first.operator
  await createObjects(rig.api, size, 'external')
  await operator.outlives(watcher.untilDone(size + warm, 60_000 + size * 60))
  await sleep(2000)
  await operator.stop()

  const lists: number[] = []
  const restarts: Restart[] = []
  for (let round = 0; round <= bench.options.rounds; round++) {
    lists.push(await list(rig.api))
    restarts.push(await restart(rig, watcher, round))
    bench.report(
      `row 5, ${size}: synced after ${restarts.at(-1)?.seconds.toFixed(2)} s, list ${lists.at(-1)?.toFixed(2)} s`,
    )
  }
  // The first turn warmed the page cache and the API server's watch cache.
  const kept = restarts.slice(1)
  const seconds = spread(kept.map((one) => one.seconds))
  const most = (of: (one: Restart) => number): number => Math.max(...kept.map(of))
  const goal = size <= 1000 ? ({ of: 'value', most: 0.6 } as const) : ({ of: 'ratio', most: 1.5 } as const)
  return [
    figure({
      row: 5,
      measure: `restart at ${size} → an edit synced`,
      value: seconds.median,
      unit: 's',
      bound: quantile(lists.slice(1), 0.5),
      goal,
      spread: seconds,
      note: 'from the start of the process; the bound is a paged list',
    }),
    figure({
      row: 5,
      measure: `needless writes to the API at a restart, ${size}`,
      value: most((one) => one.patches),
      unit: '',
      goal: { of: 'value', most: 0 },
    }),
    figure({
      row: 5,
      measure: `SQL statements of a restart, ${size}`,
      value: most((one) => one.statements),
      unit: '',
      ...(size <= 1000 ? { goal: { of: 'value', most: 10 } } : { goal: { of: 'value', most: 10 + size / 200 } }),
    }),
  ]
}

async function restart(rig: Rig, watcher: Watcher, round: number): Promise<Restart> {
  const generation = await rig.api.edit(nameOf(0), `Agent, restart ${round}`)
  const [requests, statements] = [await rig.requests(), await rig.statements()]
  const begun = performance.now()
  await using operator = await rig.start('external')
  const ended = await operator.outlives(watcher.until(nameOf(0), generation, 120_000))
  // Whoever writes needlessly does so soon.
  await sleep(3000)
  const after = await rig.requests()
  const writes = after.all - after.reads - (requests.all - requests.reads)
  return {
    seconds: (ended - begun) / 1000,
    patches: writes - 1,
    statements: (await rig.statements()) - statements,
  }
}
