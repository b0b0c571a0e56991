/** The loop that every sweeper is. */
import { setTimeout as sleep } from 'node:timers/promises'
import { seconds, type Duration } from '../duration.ts'
import { reasonOf } from '../errors.ts'
import type { Logger } from '../telemetry/log.ts'

/** A periodic loop that the manager runs, here only while leading. `start` ends when its signal aborts. */
export interface Sweeper {
  readonly name: string
  readonly leaderOnly: boolean
  start(signal: AbortSignal): Promise<void>
}

export interface SweeperOptions {
  readonly name: string
  readonly every: Duration
  readonly log: Logger
  /** One round. Rounds never overlap, and one that throws is only one that did nothing. */
  readonly sweep: (signal: AbortSignal) => Promise<void>
  /** Before the first round, which comes some seconds after the start, and whenever one failed. */
  readonly begin?: () => void
}

const longestStart = seconds(10)

/** A database that is away is expected to come back: said once when it goes and once when it is there again. */
export function createSweeper({ name, every, log, sweep, begin = () => {} }: SweeperOptions): Sweeper {
  let failing = false

  async function attempt(signal: AbortSignal): Promise<void> {
    try {
      await sweep(signal)
      if (failing) log.info(`${name} sweep works again`)
      failing = false
    } catch (error) {
      if (signal.aborted) return
      if (!failing) log.warn({ err: reasonOf(error) }, `${name} sweep failed`)
      failing = true
      begin()
    }
  }

  return {
    name,
    leaderOnly: true,
    async start(signal) {
      begin()
      // A new leader makes passes of all objects first.
      for (let pause = Math.min(every, longestStart); ; pause = every) {
        // Half to one and a half of the period, so that replicas and restarts do not fall into step.
        await sleep(pause * (0.5 + Math.random()), undefined, { signal, ref: false }).catch(() => undefined)
        if (signal.aborted) return
        await attempt(signal)
      }
    },
  }
}
