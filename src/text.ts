/**
 * Text that was chosen elsewhere, by agents, engines, templates, made fit to be shown: in a terminal, a status, a log; and counts
 * in words. Pure.
 */

/** Nothing else is looked at closely: nearly all text is of these. */
const usual = /^[\n\x20-\x7E]*$/

/** What a terminal acts on: colours and the cursor (CSI), titles and links (OSC and its kin, at most to the end of the line), character sets. */
const sequences =
  // oxlint-disable-next-line no-control-regex
  /(?:\u001B\[|\u009B)[0-?]*[ -/]*[@-~]|\u001B[\]PX^_][^\n\u0007\u001B\u009C]*(?:\u0007|\u001B\\|\u009C)?|\u001B[ -/]+[0-~]/g
// oxlint-disable-next-line no-control-regex
const lineEnds = /\r\n?|[\v\f\u0085\u2028\u2029]/g
/** Control characters, and all that is not seen: text direction, zero width, variation. */
// oxlint-disable-next-line no-control-regex
const unseen = /[\0-\t\u000B-\u001F\u007F-\u009F\p{Cf}\p{Default_Ignorable_Code_Point}]/gu

/** Well-formed text without anything invisible; line feeds stay, tabs become blanks. Cleaning it again changes nothing. */
export function plain(text: string): string {
  if (usual.test(text)) return text
  return text
    .toWellFormed()
    .replaceAll(sequences, '')
    .replaceAll(lineEnds, '\n')
    .replaceAll('\t', ' ')
    .replaceAll(unseen, '')
}

/** The same on one line: what stood on several is joined by `separator`. */
export function oneLine(text: string, separator = ' '): string {
  const clean = plain(text)
  if (!clean.includes('\n')) return clean
  return clean
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(separator)
}

const cutsPair = (text: string, at: number) => /[\uD800-\uDBFF]/.test(text.charAt(at - 1))

/** The beginning, at most `longest` UTF-16 units with the mark that there was more. */
export function cut(text: string, longest: number): string {
  if (text.length <= longest) return text
  const end = longest - 1
  return `${text.slice(0, cutsPair(text, end) ? end - 1 : end)}…`
}

/** The end, at most `longest` UTF-16 units with the mark that there was more. */
export function tail(text: string, longest: number): string {
  if (text.length <= longest) return text
  const start = text.length - longest + 1
  return `…${text.slice(cutsPair(text, start) ? start + 1 : start)}`
}

/** `1 node`, `2 nodes`. */
export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`
