import { quantile } from './raw.ts'

/** What several rounds said of one thing. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export const spread = (values: readonly number[]): Spread => ({
  median: quantile(values, 0.5),
  min: Math.min(...values),
  max: Math.max(...values),
})

export interface Pair<B> {
  /** The bound: the mean of the baselines before and after. */
  readonly bound: number
  readonly measured: B
}

export interface Rounds<B> {
  readonly pairs: readonly Pair<B>[]
  /** Pairs whose baselines lay more than 5 % apart. */
  readonly dropped: number
  /** True when every pair drifted, so that all are shown instead of none: figures of a machine that was not at rest. */
  readonly restless: boolean
}

const drift = 0.05

/**
 * Interleaves baseline and measure, A B A B … A, after one turn of each to warm up, and keeps the pairs whose baselines
 * agree within 5 %.
 */
export async function interleave<B>(
  rounds: number,
  baseline: () => Promise<number>,
  measure: () => Promise<B>,
  report: (line: string) => void,
): Promise<Rounds<B>> {
  if (rounds > 1) {
    await baseline()
    await measure()
  }
  const all: (Pair<B> & { readonly steady: boolean })[] = []
  let before = await baseline()
  for (let round = 0; round < rounds; round++) {
    const measured = await measure()
    const after = await baseline()
    const steady = Math.abs(after - before) / Math.min(after, before) <= drift
    all.push({ bound: (before + after) / 2, measured, steady })
    report(
      `round ${round + 1} of ${rounds}, bound ${before.toFixed(2)} and ${after.toFixed(2)}${steady ? '' : ', drifted'}`,
    )
    before = after
  }
  const kept = all.filter(({ steady }) => steady)
  const restless = kept.length === 0
  return { pairs: restless ? all : kept, dropped: all.length - kept.length, restless }
}

/** What a table says of rounds that were not all alike. */
export function remark({ dropped, pairs, restless }: Rounds<unknown>): string | undefined {
  if (restless) return `all ${pairs.length} pairs drifted over 5 %: the machine was not at rest`
  return dropped === 0 ? undefined : `${dropped} of ${dropped + pairs.length} pairs dropped, drifted over 5 %`
}
