/** Cron expressions of five fields, in an IANA time zone. */
import { Cron } from 'croner'

/** Says which part cannot be read and why, in one line. */
export class CronError extends Error {
  override readonly name = 'CronError'
}

/**
 * The first time after `after`, to the minute; undefined when there never is one (30 February). Throws a CronError.
 *
 * Where clocks are changed, a fixed time of day (`30 2 * * *`) runs once: at the first valid minute when its hour is
 * left out, at the first of two when it comes twice. What runs every so often (every 15 minutes) follows elapsed time.
 */
export function nextRun(expression: string, timezone: string, after: Date): Date | undefined {
  return read(expression, timezone).nextRun(after) ?? undefined
}

/** Why it never runs, in one line: it cannot be read, or no day is like that. Undefined when it does run. */
export function faultOf(expression: string, timezone: string): string | undefined {
  const key = `${timezone} ${expression}`
  if (judged.has(key)) return judged.get(key)
  if (judged.size >= mostKnown) judged.clear()
  const fault = judge(expression, timezone)
  judged.set(key, fault)
  return fault
}

function judge(expression: string, timezone: string): string | undefined {
  try {
    // Whether it ever comes does not depend on when that is asked.
    return nextRun(expression, timezone, new Date(0)) === undefined ? `cron "${expression}" never comes` : undefined
  } catch (error) {
    if (error instanceof CronError) return error.message
    throw error
  }
}

/** To look through all the years for a day costs milliseconds. */
const judged = new Map<string, string | undefined>()

/** Reading costs far more than asking, and the same few expressions are asked again and again. */
const known = new Map<string, Cron>()
const mostKnown = 1000

function read(expression: string, timezone: string): Cron {
  const key = `${timezone} ${expression}`
  const found = known.get(key)
  if (found !== undefined) return found
  const cron = parse(expression, timezone)
  if (known.size >= mostKnown) known.clear()
  known.set(key, cron)
  return cron
}

function parse(expression: string, timezone: string): Cron {
  // The library would take nicknames such as @daily for five fields, and a zone that it does not know for UTC.
  if (expression.includes('@')) throw new CronError(`cron "${expression}" has no five fields: "30 9 * * 1-5"`)
  try {
    Intl.DateTimeFormat('en', { timeZone: timezone })
  } catch {
    throw new CronError(`timezone "${timezone}" is no IANA time zone: Europe/Berlin`)
  }
  try {
    return new Cron(expression, { timezone, paused: true, mode: '5-part', fixedTimeRule: 'no-wildcard' })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.replace(/^\w+: /, '') : 'it cannot be read'
    throw new CronError(`cron "${expression}": ${why}`, { cause })
  }
}
