/** How long callers wait for an agent that they woke: from the first refusal to the first message it accepts. */
import type { WorkspaceId } from '../store/workspace-store.ts'

export interface Wakes {
  /** A caller was told that the agent is waking. */
  asked(id: WorkspaceId): void
  /** The agent has answered a message. */
  accepted(id: WorkspaceId): void
}

/** Agents that never wake are forgotten, the longest asleep first. */
const most = 1000

/** By this replica's own clock: a caller that comes back to another one is not measured. */
export function createWakes(observe: (seconds: number) => void, now = () => performance.now()): Wakes {
  const since = new Map<WorkspaceId, number>()
  return {
    asked(id) {
      if (since.has(id)) return
      const [oldest] = since.keys()
      if (since.size >= most && oldest !== undefined) since.delete(oldest)
      since.set(id, now())
    },
    accepted(id) {
      const began = since.get(id)
      if (began === undefined) return
      since.delete(id)
      observe((now() - began) / 1000)
    },
  }
}
