declare const unit: unique symbol

/** A span of time in whole or fractional milliseconds. Never a point in time, never seconds. */
export type Duration = number & { readonly [unit]: 'ms' }

export const milliseconds = (n: number): Duration => n as Duration
export const seconds = (n: number): Duration => (n * 1000) as Duration
export const minutes = (n: number): Duration => (n * 60_000) as Duration

const factors = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const part = /(\d+)(ms|s|m|h|d)/y

/** What users may write: `90s`, `30m`, `1h30m`, `7d`. One source for the schemas' `pattern` too. */
export const durationPattern = '^([0-9]+(ms|s|m|h|d))+$'

/** Reads `1h30m` and the like. Throws a RangeError that names the text when it is not a duration. */
export function parseDuration(text: string): Duration {
  let total = 0
  part.lastIndex = 0
  while (part.lastIndex < text.length) {
    const found = part.exec(text)
    if (!found) throw new RangeError(`"${text}" is not a duration: write it like 90s, 30m, 1h30m or 7d`)
    total += Number(found[1]) * factors[found[2] as keyof typeof factors]
  }
  if (text === '') throw new RangeError('"" is not a duration: write it like 90s, 30m, 1h30m or 7d')
  return total as Duration
}

/** The shortest reading for people, to the two largest units: `1h30m`, `45s`, `120ms`. */
export function formatDuration(span: Duration): string {
  if (span < 1000) return `${Math.round(span)}ms`
  let rest = Math.round(span / 1000) * 1000
  const shown: string[] = []
  for (const name of ['d', 'h', 'm', 's'] as const) {
    const count = Math.floor(rest / factors[name])
    rest -= count * factors[name]
    if (count > 0) shown.push(`${count}${name}`)
  }
  return shown.slice(0, 2).join('')
}
