import { parseArgs } from 'node:util'

export interface Options {
  /** Lines whose fault or place matches. */
  readonly only: RegExp | undefined
  readonly quick: boolean
  readonly json: string | undefined
  /** Seconds that an outage lasts. */
  readonly outage: number
  /** Seconds without a change after an outage. */
  readonly quiet: number
}

export const usage = `npm run faults -- [options]
  --only PATTERN   lines whose fault or place matches this regular expression
  --quick          a telling few, in under three minutes
  --outage 30      seconds that an outage lasts
  --quiet 10       seconds in which nothing may change after it
  --json FILE      keep the lines
`

/** Throws with one line for people on anything it does not know. */
export function readOptions(argv: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      outage: { type: 'string', default: '30' },
      quiet: { type: 'string', default: '10' },
    },
  })
  return {
    only: values.only === undefined ? undefined : new RegExp(values.only),
    quick: values.quick,
    json: values.json,
    outage: positive(values.outage, '--outage'),
    quiet: positive(values.quiet, '--quiet'),
  }
}

function positive(text: string, flag: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new RangeError(`${flag} is a number of seconds, not "${text}"`)
  return Number(text)
}
