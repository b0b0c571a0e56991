/** History ends: what agents said, what became of workspaces, and what removed ones left go once they are old enough. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Duration, minutes } from '../duration.ts'
import { leavings, type History, type HistoryStore } from '../store/history-store.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Resources } from './orphans/sweeper.ts'
import { createSweeper, type Sweeper } from './sweeper.ts'

export interface RetentionOptions {
  readonly history: HistoryStore
  /** How long a row of each is kept. */
  readonly keep: Readonly<Record<History, Duration>>
  /** A row of a Workspace that is still there is needed, however long ago it was removed. */
  readonly resources: Pick<Resources, 'trouble' | 'uids'>
  readonly metrics: Pick<Metrics, 'rowsPurged'>
  readonly log: Logger
  readonly every?: Duration
  /** Rows a statement takes at most: so few that no other statement waits for long. */
  readonly atOnce?: number
}

/** Between two statements: others come first. */
const breath = 100

export function retentionSweeper({
  history,
  keep,
  resources,
  metrics,
  log,
  every = minutes(10),
  atOnce = 1000,
}: RetentionOptions): Sweeper {
  /** By statements of `atOnce` rows, as long as there are that many. */
  async function all(take: () => Promise<number>, signal: AbortSignal): Promise<number> {
    let taken = 0
    for (let count = atOnce; count === atOnce && !signal.aborted;) {
      count = await take()
      taken += count
      if (count === atOnce) await sleep(breath, undefined, { signal, ref: false })
    }
    return taken
  }

  async function sweep(signal: AbortSignal): Promise<void> {
    for (const [kind, age] of Object.entries(keep) as [History, Duration][]) {
      const forgotten = await all(() => history.forget(kind, age, atOnce), signal)
      if (forgotten > 0) log.info({ kind, forgotten }, 'old history deleted')
    }
    // What the cache does not show might be on its way out, and need its row to the end.
    if (resources.trouble() !== undefined) return
    for (const kind of leavings) {
      const purged = await all(() => history.purge(kind, keep.structure, resources.uids(), atOnce), signal)
      metrics.rowsPurged.inc({ kind }, purged)
      if (purged > 0) log.info({ kind, purged }, 'leavings of removed workspaces deleted')
    }
  }
  return createSweeper({ name: 'retention', every, log, sweep })
}
