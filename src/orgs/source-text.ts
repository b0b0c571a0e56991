/** What no text of a template may hold: characters that programs further down choke on. */
/** Tab, line feed, and a carriage return before a line feed are the control characters that texts are made of. */
// oxlint-disable-next-line no-control-regex
const unfit =
  /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/

/** Beside those, what ends a line to some programs only: a prompt must read the same to all. */
// oxlint-disable-next-line no-control-regex
const unfitInPrompt = new RegExp(`${unfit.source}|[\x80-\x9f\u2028\u2029]`)

export interface Flaw {
  readonly offset: number
  readonly what: string
}

export function flawOf(text: string, use: 'yaml' | 'prompt'): Flaw | undefined {
  const found = (use === 'yaml' ? unfit : unfitInPrompt).exec(text)
  if (found === null) return undefined
  const code = text.charCodeAt(found.index)
  if (code === 13) return { offset: found.index, what: 'a carriage return without a line feed' }
  const hex = code.toString(16).toUpperCase().padStart(4, '0')
  const what = code >= 0xd800 && code <= 0xdfff ? `half a character (U+${hex})` : `the control character U+${hex}`
  return { offset: found.index, what }
}

/** The first line that is longer than `most` characters, counted from 1. */
export function longLine(text: string, most: number): number | undefined {
  for (let start = 0, line = 1; text.length - start > most; line++) {
    const end = text.indexOf('\n', start)
    if (end === -1 || end - start > most) return line
    start = end + 1
  }
  return undefined
}
