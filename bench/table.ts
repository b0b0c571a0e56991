import type { Figure } from './figure.ts'

const heads = ['row', 'measure', 'value', 'bound', 'ratio', 'goal', 'met', 'min … max', 'note'] as const

/** Three significant digits, without an exponent: 0.0123, 1.23, 12.3, 123, 12345. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (value === 0) return '0'
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return String(Number(value.toFixed(Math.min(digits, 6))))
}

const orDash = (value: number | null, unit = ''): string => (value === null ? '-' : `${short(value)}${unit}`)

/** The figures as a Markdown table, aligned for a terminal. */
export function table(figures: readonly Figure[]): string {
  const rows = figures.map((f) => [
    String(f.row),
    f.measure,
    `${short(f.value)} ${f.unit}`,
    orDash(f.bound),
    orDash(f.ratio, ' ×'),
    f.goal,
    f.met ? 'yes' : 'NO',
    f.min === undefined || f.max === undefined ? '-' : `${short(f.min)} … ${short(f.max)}`,
    f.note ?? '',
  ])
  const widths = heads.map((head, i) => Math.max(head.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`
  return [line(heads), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}
