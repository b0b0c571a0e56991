/**
 * While a cache is being listed nothing is known of what is in it. A status that speaks of the object's own generation is as
 * true as before and stays; only an object without one is told what the pass waits for. Pure.
 */
import type { CommonStatus, Condition, KubeObject } from '../api/meta.ts'
import { seconds } from '../duration.ts'
import { RetryAfter } from '../errors.ts'
import type { ConditionDraft } from '../kube/reconciler.ts'

/** Whether the status says something about this very generation. */
export const hasVerdict = ({ metadata, status }: KubeObject<unknown, CommonStatus>): boolean =>
  status?.observedGeneration === metadata.generation

/** Ends a pass without a write. What is read meanwhile wakes the object; the time is for what gets lost. */
export const untilRead = (waitingFor: string): RetryAfter => new RetryAfter(seconds(30), waitingFor)

/** The condition as it was said last. */
export function conditionAsBefore(
  { status }: KubeObject<unknown, CommonStatus>,
  wanted: Condition['type'],
): ConditionDraft[] {
  return (status?.conditions ?? [])
    .filter(({ type }) => type === wanted)
    .map(({ type, status: holds, reason, message }) => ({ type, status: holds, reason, message }))
}
