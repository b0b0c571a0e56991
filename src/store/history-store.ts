/** What happened, as rows that only grow and end by age. */
import type { Duration } from '../duration.ts'

/** `activity`: messages and what agents did; `structure`: what became of workspaces. */
export type History = 'activity' | 'structure'

export interface HistoryStore {
  /** Deletes rows older than `age`, at most `limit` of them, the oldest first or nearly so. Returns how many. */
  forget(history: History, age: Duration, limit: number): Promise<number>
}
