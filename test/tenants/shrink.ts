/** The fewest steps that still fail, as far as so many tries find them: halves first, then quarters, and so on. */
export async function shrink<Step>(
  steps: readonly Step[],
  fails: (fewer: readonly Step[]) => Promise<boolean>,
  tries: number,
): Promise<readonly Step[]> {
  let [least, parts, left] = [steps, 2, tries]
  while (least.length > 1 && parts <= least.length) {
    const size = Math.ceil(least.length / parts)
    let shorter: readonly Step[] | undefined
    for (let at = 0; at < least.length && shorter === undefined; at += size) {
      if (left-- <= 0) return least
      const without = [...least.slice(0, at), ...least.slice(at + size)]
      if (await fails(without)) shorter = without
    }
    if (shorter === undefined) {
      if (size === 1) return least
      parts *= 2
    } else {
      least = shorter
      parts = Math.max(2, parts - 1)
    }
  }
  return least
}
