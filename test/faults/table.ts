/** One fault and what came of it. */
export interface Line {
  readonly fault: string
  /** Backend, or what was broken. */
  readonly where: string
  /** What was reached in the end, or what was missing. */
  readonly end: string
  /** Instances made, and how many an undisturbed run makes; undefined where nothing was counted. */
  readonly creates?: { readonly counted: number; readonly undisturbed: number }
  /** Workspaces that were ever seen with two instances. */
  readonly duplicates: number
  /** From the end of the fault to the last change. */
  readonly seconds?: number
  /** Most seconds allowed. */
  readonly bar?: number
  readonly verdict: 'ok' | 'SHORT' | 'SKIPPED'
  /** The operator's last words, where they may explain. */
  readonly said?: string
}

/** The verdict of a line whose end was reached: every figure must be within its bound. */
export function judged(line: Omit<Line, 'verdict'>): Line {
  const { creates, duplicates, seconds, bar } = line
  const equal = creates === undefined || creates.counted === creates.undisturbed
  const intime = seconds === undefined || bar === undefined || seconds <= bar
  return { ...line, verdict: equal && duplicates === 0 && intime ? 'ok' : 'SHORT' }
}

const heads = ['fault', 'where', 'end state', 'creates', 'doubled', 'seconds', 'verdict'] as const

/** The lines as a Markdown table, aligned for a terminal. */
export function table(lines: readonly Line[]): string {
  const rows = lines.map(({ fault, where, end, creates, duplicates, seconds, bar, verdict }) => [
    fault,
    where,
    end,
    creates ? `${creates.counted} of ${creates.undisturbed}` : '-',
    verdict === 'SKIPPED' ? '-' : String(duplicates),
    seconds === undefined ? '-' : `${seconds.toFixed(1)}${bar === undefined ? '' : ` (≤ ${bar})`}`,
    verdict,
  ])
  const widths = heads.map((head, i) => Math.max(head.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const text = (cells: readonly string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`
  return [text(heads), text(widths.map((width) => '-'.repeat(width))), ...rows.map(text)].join('\n')
}
