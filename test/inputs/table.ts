import type { Result } from './sweep.ts'

const heads = ['field', 'inputs', 'refused', 'Ready', 'Stalled or waits', 'wrong'] as const

/** One line a field: how often it was refused, what the rest came to, and what was not as it should be. */
export function table(results: readonly Result[]): string {
  const fields = Map.groupBy(results, ({ input }) => `${input.kind} ${input.at}`)
  const rows = [...fields].map(([field, of]) => {
    const count = (test: (end: string) => boolean) => of.filter(({ end }) => test(end)).length
    const others = new Set(of.map(({ end }) => end).filter((end) => end !== 'refused' && !end.startsWith('Ready')))
    const wrong = of.flatMap(({ input, fault }) => (fault === undefined ? [] : [`${input.how}: ${fault}`]))
    return [
      field,
      String(of.length),
      String(count((end) => end === 'refused')),
      String(count((end) => end.startsWith('Ready'))),
      [...others].sort().join(', ') || '-',
      wrong.join('; ') || '-',
    ]
  })
  const widths = heads.map((head, i) => Math.max(head.length, ...rows.map((row) => Math.min(60, row[i]?.length ?? 0))))
  const line = (cells: readonly string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`
  const faults = results.filter(({ fault }) => fault !== undefined).length
  const summary = `${results.length} inputs, ${fields.size} fields, ${faults} not as they should be`
  return [line(heads), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line), '', summary].join('\n')
}
