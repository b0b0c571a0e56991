/** Silence becomes `offline`: the one loop that turns a missing heartbeat into a changed row. */
import { type Duration, seconds } from '../duration.ts'
import type { AgentStore } from '../store/agent-store.ts'
import { phases } from '../store/workspace-store.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { createSweeper, type Sweeper } from './sweeper.ts'

export interface LivenessOptions {
  readonly agents: Pick<AgentStore, 'expire' | 'countByPhase' | 'countDuplicates'>
  readonly log: Logger
  readonly metrics: Metrics
  /** How long an agent may be silent. */
  readonly silence?: Duration
  readonly every?: Duration
}

export function livenessSweeper(options: LivenessOptions): Sweeper {
  const { agents, log, metrics, silence = seconds(180), every = seconds(15) } = options
  let hearingSince = performance.now()

  async function sweep(): Promise<void> {
    // While this process or the database was away no beat could be recorded: silence counts from when listening began.
    if (performance.now() - hearingSince >= silence / 2) {
      const expired = await agents.expire(silence)
      if (expired > 0) log.info({ expired }, 'silent agents marked offline')
    }
    const counts = await agents.countByPhase()
    for (const phase of phases) metrics.workspaces.set({ phase }, counts[phase])
    metrics.duplicateRows.set(await agents.countDuplicates())
  }

  /** Before the first look there is nothing to say; and after one that failed, what the last one saw may be long over. */
  function begin(): void {
    hearingSince = performance.now()
    metrics.workspaces.reset()
    metrics.duplicateRows.remove()
  }

  return createSweeper({ name: 'liveness', every, log, sweep, begin })
}
