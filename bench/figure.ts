import type { Spread } from './rounds.ts'

/** One measure of one row of docs/performance.md, as the table shows it and the JSON keeps it. */
export interface Figure {
  readonly row: number
  readonly measure: string
  readonly value: number
  readonly unit: string
  /** The physical bound of the same run, in the same unit; null where none can be measured. */
  readonly bound: number | null
  /** value / bound, the median of the pairs' own ratios where there are pairs. */
  readonly ratio: number | null
  readonly goal: string
  readonly met: boolean
  readonly min?: number
  readonly max?: number
  /** What a reader must know to trust it: rounds kept and dropped, what was left out. */
  readonly note?: string
}

/** What a figure is held against: its value, or its ratio to the bound. */
export interface Goal {
  readonly of: 'value' | 'ratio'
  readonly most?: number
  readonly least?: number
}

interface Facts {
  readonly row: number
  readonly measure: string
  readonly value: number
  readonly unit: string
  readonly bound?: number
  readonly ratio?: number
  readonly goal: Goal
  readonly spread?: Spread
  readonly note?: string | undefined
}

/** Judges the facts by their goal. A goal on a ratio that could not be measured is not met. */
export function figure({ row, measure, value, unit, bound, ratio, goal, spread, note }: Facts): Figure {
  const against = ratio ?? (bound === undefined ? undefined : value / bound)
  const judged = goal.of === 'value' ? value : (against ?? NaN)
  const sign = goal.of === 'ratio' ? ' ×' : ''
  const words = [
    ...(goal.most === undefined ? [] : [`≤ ${goal.most}${sign}`]),
    ...(goal.least === undefined ? [] : [`≥ ${goal.least}${sign}`]),
  ]
  return {
    row,
    measure,
    value,
    unit,
    bound: bound ?? null,
    ratio: against ?? null,
    goal: words.join(', '),
    met: judged <= (goal.most ?? Infinity) && judged >= (goal.least ?? -Infinity),
    ...(spread && { min: spread.min, max: spread.max }),
    ...(note !== undefined && { note }),
  }
}
