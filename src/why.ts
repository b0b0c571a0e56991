/**
 * The one line of `status.summary` and of the column WHY: as wide as a terminal has room for beside the other columns, and
 * what it ends with is the cause. The whole text stands in a condition. Pure.
 */
import { oneLine, plain, tail } from './text.ts'

/** Columns of a terminal. */
export const longestWhy = 120
/** Of them at least so many are the cause's, however long what stands before it is. */
const leastForCause = 60

/** What was said of a failure comes before this, the output of the instance after it, its lines joined by `betweenLines`. */
const lastOutput = '; last output: '
const betweenLines = ' | '
/** Of the output, in a condition. */
const mostOutput = 600

/**
 * `what` and why it is so. Of a text that ends in the output of an instance the line that names the error is taken, of any
 * other the beginning: what to do about it stands at the end, and in the condition. To shorten it again changes nothing.
 */
export function why(what: string, cause = ''): string {
  const [head, reason] = [causeIn(oneLine(what)), causeIn(oneLine(cause, betweenLines))]
  if (head === '' || reason === '') return within(`${head}${reason}`, longestWhy)
  const room = Math.max(leastForCause, longestWhy - widthOf(head) - 2)
  const shown = within(reason, room)
  return `${within(head, longestWhy - widthOf(shown) - 2)}: ${shown}`
}

/** What became of an instance, with its last output and the line of it that names the error, wherever in it that stands. */
export function failureText(what: string, output: string): string {
  const lines = linesOf(output)
  const all = lines.join(betweenLines)
  const end = tail(all, mostOutput)
  if (end === '') return what
  const cause = within(errorLineOf(lines), longestWhy)
  if (end.includes(cause)) return `${what}${lastOutput}${end}`
  const rest = tail(all, mostOutput - cause.length - betweenLines.length)
  return `${what}${lastOutput}${cause}${betweenLines}${rest}`
}

function causeIn(text: string): string {
  const at = text.indexOf(lastOutput)
  if (at < 0) return text
  const said = text.slice(0, at)
  const cause = errorLineOf(text.slice(at + lastOutput.length).split(betweenLines))
  return cause === '' ? said : `${said}: ${cause}`
}

const linesOf = (output: string): string[] =>
  plain(output)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')

/** `TypeError: x`, `java.io.IOException: x`, `Error [CODE]: x`, `panic: x`, `fatal: x`, `error: x`. */
const named =
  /(?:^|[\s(:])(?:[A-Za-z_][\w.$]*)?(?:Error|Exception)(?: \[\w+\])?: \S|^(?:panic|fatal|error)\b[^:]*: ?\S/i
const likely =
  /\b(?:error|fatal|panic(?:ked)?|fail(?:ed|s|ure)|cannot|can't|could not|unable to|refused|denied|not found|no such|killed|out of memory|unauthorized|forbidden)\b/i
const warning = /warn(?:ing)?\b/i
/** A frame of a stack, the source line and the mark below it, and what closes them. */
const frame = /^(?:at |File "|from |\.\.\.|[\^~]+$|[{}[\]();,]+$|Node\.js v\d|node:internal)/
const timestamp = /^\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?\s+/

/** The first line that names an error; else the last one that says anything. */
function errorLineOf(lines: readonly string[]): string {
  const said = lines.map((line) => wordsOf(line).replace(timestamp, '')).filter((line) => line !== '')
  return (
    said.find((line) => named.test(line) && !warning.test(line)) ??
    said.find((line) => likely.test(line) && !warning.test(line) && !frame.test(line)) ??
    said.findLast((line) => !frame.test(line)) ??
    said.at(-1) ??
    ''
  )
}

/** Of a line of JSON, as loggers write them, its message and error. */
function wordsOf(line: string): string {
  if (!line.startsWith('{') || !line.endsWith('}')) return line
  try {
    const { msg, message = msg, error, err = error } = JSON.parse(line) as Record<string, unknown>
    const cause = typeof err === 'object' && err !== null ? (err as Record<string, unknown>)['message'] : err
    const words = [message, cause].filter((each) => typeof each === 'string' && each !== '')
    return words.length === 0 ? line : words.join(': ')
  } catch {
    return line
  }
}

const wide =
  /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6]|\p{Emoji_Presentation}/u
const ascii = /^[\x20-\x7E]*$/

const columnsOf = (character: string): number => (/\p{M}/u.test(character) ? 0 : wide.test(character) ? 2 : 1)

/** Columns that a terminal shows it in. */
export const widthOf = (text: string): number =>
  ascii.test(text) ? text.length : Array.from(text, columnsOf).reduce((sum, columns) => sum + columns, 0)

/** The beginning, at most so many columns wide with the mark that there was more, between two words where that loses little. */
function within(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text
  let [shown, left] = ['', columns - 1]
  for (const character of text) {
    left -= columnsOf(character)
    if (left < 0) break
    shown += character
  }
  const blank = shown.lastIndexOf(' ')
  const whole = blank > shown.length * 0.8 ? shown.slice(0, blank) : shown
  return `${whole.replace(/[\s,;:|(–-]+$/, '')}…`
}
