/** Silence becomes `offline`: the one loop that turns a missing heartbeat into a changed row. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Duration, seconds } from '../duration.ts'
import { reasonOf } from '../errors.ts'
import type { AgentStore } from '../store/agent-store.ts'
import { phases } from '../store/workspace-store.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'

export interface LivenessOptions {
  readonly agents: Pick<AgentStore, 'expire' | 'countByPhase'>
  readonly log: Logger
  readonly metrics: Metrics
  /** How long an agent may be silent. */
  readonly silence?: Duration
  readonly every?: Duration
}

/** A periodic loop that the manager runs, here only while leading. `start` ends when its signal aborts. */
export interface Sweeper {
  readonly name: string
  readonly leaderOnly: boolean
  start(signal: AbortSignal): Promise<void>
}

export function livenessSweeper(options: LivenessOptions): Sweeper {
  const { agents, log, metrics, silence = seconds(180), every = seconds(15) } = options
  let failing = false
  let hearingSince = performance.now()

  async function sweep(): Promise<void> {
    // While this process or the database was away nobody could be heard: silence counts from when listening began.
    if (performance.now() - hearingSince >= silence / 2) {
      const expired = await agents.expire(silence)
      if (expired > 0) log.info({ expired }, 'silent agents marked offline')
    }
    const counts = await agents.countByPhase()
    for (const phase of phases) metrics.workspaces.set({ phase }, counts[phase])
  }

  /** A database that is away is expected to come back: said once when it goes and once when it is there again. */
  async function attempt(): Promise<void> {
    try {
      await sweep()
      if (failing) log.info('liveness sweep works again')
      failing = false
    } catch (error) {
      if (!failing) log.warn({ err: reasonOf(error) }, 'liveness sweep failed')
      failing = true
      hearingSince = performance.now()
    }
  }

  return {
    name: 'liveness',
    leaderOnly: true,
    async start(signal) {
      hearingSince = performance.now()
      while (!signal.aborted) {
        await attempt()
        // Half to one and a half of the period, so that replicas and restarts do not fall into step.
        await sleep(every * (0.5 + Math.random()), undefined, { signal, ref: false }).catch(() => undefined)
      }
    },
  }
}
