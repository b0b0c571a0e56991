/** What happened, as rows that only grow and end by age. */
import type { Duration } from '../duration.ts'

/** `activity`: messages and what agents did; `structure`: what became of workspaces. */
export type History = 'activity' | 'structure'

/**
 * What is of no use to anything any more. `channels`: of workspaces removed with Delete, credentials included, that a replica of
 * a version before left; `tokens`: revoked ones; `rows`: removed workspaces.
 */
export const leavings = ['channels', 'tokens', 'rows'] as const
export type Leavings = (typeof leavings)[number]

export interface HistoryStore {
  /** Deletes rows older than `age`, at most `limit` of them, the oldest first or nearly so. Returns how many. */
  forget(history: History, age: Duration, limit: number): Promise<number>
  /**
   * Deletes what was revoked or removed longer than `age` ago, at most `limit` of it; channels whatever their age, those of at
   * most `limit` workspaces. Returns of how many.
   *
   * A row stays while anything may still ask for it: it was not deleted with Delete (only such a row may neither be adopted
   * nor decide about volumes), an owner in `present` may still be on its way out, an orphan or an instance that was given
   * up has its owner, or it has children or messages.
   */
  purge(what: Leavings, age: Duration, present: readonly string[], limit: number): Promise<number>
}
