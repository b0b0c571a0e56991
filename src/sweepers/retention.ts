/** History ends: rows of what agents said and of what became of workspaces go once they are old enough. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Duration, minutes } from '../duration.ts'
import type { History, HistoryStore } from '../store/history-store.ts'
import type { Logger } from '../telemetry/log.ts'
import { createSweeper, type Sweeper } from './sweeper.ts'

export interface RetentionOptions {
  readonly history: HistoryStore
  /** How long a row of each is kept. */
  readonly keep: Readonly<Record<History, Duration>>
  readonly log: Logger
  readonly every?: Duration
  /** Rows a statement takes at most: few enough to hold up nobody. */
  readonly atOnce?: number
}

/** Between two statements: others come first. */
const breath = 100

export function retentionSweeper({
  history,
  keep,
  log,
  every = minutes(10),
  atOnce = 1000,
}: RetentionOptions): Sweeper {
  async function sweep(signal: AbortSignal): Promise<void> {
    for (const [kind, age] of Object.entries(keep) as [History, Duration][]) {
      let forgotten = 0
      for (let count = atOnce; count === atOnce && !signal.aborted;) {
        count = await history.forget(kind, age, atOnce)
        forgotten += count
        if (count === atOnce) await sleep(breath, undefined, { signal, ref: false })
      }
      if (forgotten > 0) log.info({ kind, forgotten }, 'old history deleted')
    }
  }
  return createSweeper({ name: 'retention', every, log, sweep })
}
