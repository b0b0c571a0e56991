/** What to do about a run that has not ended. Pure. */
import { formatDuration, minutes } from '../duration.ts'
import type { OpenRun } from '../store/schedule-store.ts'

export type Turn =
  | { readonly act: 'deliver' }
  /** Asks a sleeping agent to wake, then waits. */
  | { readonly act: 'wake' }
  /** It is coming up, or was asked to. */
  | { readonly act: 'await' }
  | { readonly act: 'wait' }
  | { readonly act: 'skip'; readonly why: string }

/** How long a run waits for an agent that is busy or away. */
export const busyFor = minutes(2)
/** And for one that sleeps or starts: as long as a start may take. */
export const startingFor = minutes(10)

/** `here`: prompts that are on their way to this agent now, which its heartbeats may not know of yet. */
export function turnOf(run: OpenRun, here: number): Turn {
  const { phase, waited } = run
  const bounded = (bound: typeof busyFor, act: 'wait' | 'wake' | 'await', what: string): Turn =>
    waited < bound ? { act } : { act: 'skip', why: `${what} for ${formatDuration(bound)}` }
  if (phase === 'removed') return { act: 'skip', why: 'the workspace is removed' }
  if (!run.enabled) return { act: 'skip', why: 'the schedule was turned off' }
  if (phase === 'paused') return { act: 'skip', why: 'the workspace is paused' }
  // It fetches the prompt when it likes.
  if (run.deliveryMode === 'poll') return { act: 'deliver' }
  switch (phase) {
    case 'online':
    case 'degraded': {
      const busy = Math.max(run.activeTasks, here) >= run.maxConcurrentTasks
      return busy ? bounded(busyFor, 'wait', 'the agent was busy') : { act: 'deliver' }
    }
    case 'hibernating':
    case 'hibernated':
      return bounded(startingFor, run.waking ? 'await' : 'wake', 'the agent did not wake')
    case 'provisioning':
      return bounded(startingFor, 'await', 'the agent did not start')
    case 'offline':
    case 'failed':
    case 'awaiting_agent':
      return bounded(busyFor, 'wait', `the workspace was ${phase.replace('_', ' ')}`)
  }
}
