/**
 * Takes secrets out of text. The text, a few KiB, is read in every way in which a value may have been written (as it is,
 * JSON-escaped, URI-escaped, hexadecimal, base64), each reading without white space and line ends; then each value is
 * looked for in all readings at once. So a value of many lines, indented, wrapped or between `\r\n`, is found as well.
 * Found is
 *   a value of 6 to 15 bytes, or a line of 8 to 15 bytes of one, whole;
 *   of anything longer every run of 16 bytes, so that a part of it is not shown either;
 *   at the beginning and the end of the text, where it may have been cut, 6 bytes of either end of a value.
 * The cost is linear in the size of the values, a few nanoseconds a byte, and in that of the text.
 */
import { plain } from './text.ts'

export type Redact = (text: string) => string

const blot = '[redacted]'
/** Shorter values are words that stand everywhere: blotting them out would say more than it hides. */
const shortest = 6
const shortestLine = 8
/** Bytes of a longer value that may not be shown together. */
const run = 16

/**
 * Of more than this nothing is shown at all, since looking would hold up everything else. Linux starts no process with
 * an environment of that size, so that no agent has so much.
 */
const mostBytes = 2 ** 21

/** Anything of the shape of a token of ours: its text is not kept, so it cannot be looked for. */
const tokenShape = /(?<![\w-])[\w-]{43}(?![\w-])/g
/** As many digits as base64 has of a token; hexadecimal has more. */
const encodedToken = /[\w+/-]{58}/

/** `redact` gives the text cleaned (text.ts), with secrets blotted out. `secrets`: values as the agent has them. */
export function redactor(secrets: Iterable<string>): Redact {
  let values: Values | undefined
  return (text) => {
    const clean = plain(text)
    if (clean.length < shortest) return clean
    values ??= valuesOf(secrets)
    if (values === undefined) return blot
    const hidden = values.all.length === 0 && !encodedToken.test(clean) ? clean : blotted(clean, values)
    return hidden.replaceAll(tokenShape, blot)
  }
}

/** Takes secrets out of what was thrown, its causes included, in place: its class and its reason stay. */
export function scrub(error: unknown, redact: Redact, depth = 8): void {
  if (!(error instanceof Error) || depth === 0) return
  for (const field of ['message', 'stack'] as const) {
    const [told = '', clean] = [error[field], redact(error[field] ?? '')]
    if (told !== clean)
      Object.defineProperty(error, field, { value: clean, configurable: true, enumerable: false, writable: true })
  }
  scrub(error.cause, redact, depth - 1)
  if (error instanceof AggregateError) for (const each of error.errors) scrub(each, redact, depth - 1)
}

/** Byte strings (a character is a byte of UTF-8) without white space. */
interface Values {
  readonly all: readonly string[]
  /** Those shorter than a run. */
  readonly short: ReadonlySet<string>
}

/** Undefined: there is more than can be looked for. */
function valuesOf(secrets: Iterable<string>): Values | undefined {
  const all = new Set<string>()
  let size = 0
  for (const secret of secrets) {
    size += secret.length
    if (size > mostBytes) return undefined
    for (const form of new Set([secret, plain(secret)])) {
      const bytes = Buffer.from(form).toString('latin1')
      const whole = squeezed(bytes)
      if (whole.length >= shortest) all.add(whole)
      // Longer ones are found by the runs of the whole.
      for (const line of bytes.split('\n')) {
        const least = squeezed(line)
        if (least.length >= shortestLine && least.length < run) all.add(least)
      }
    }
  }
  return { all: [...all], short: new Set([...all].filter(({ length }) => length < run)) }
}

// oxlint-disable-next-line no-control-regex
const space = /[\0-\x20\x7F]+/g
const squeezed = (bytes: string) => bytes.replaceAll(space, '')

/** One way to read the text: its bytes, and for each of them the bytes of the text that it was written with. */
class Reading {
  length = 0
  /** From digits. In others white space that was left out joins words, and these may be as long as a token. */
  isDecoded = false
  bytes: Uint8Array
  from: Uint32Array
  to: Uint32Array

  constructor(room: number) {
    this.bytes = new Uint8Array(room)
    this.from = new Uint32Array(room)
    this.to = new Uint32Array(room)
  }

  /** White space and control characters are left out. */
  add(byte: number, from: number, to: number): void {
    if (byte <= 0x20 || byte === 0x7f) return
    this.bytes[this.length] = byte
    this.from[this.length] = from
    this.to[this.length++] = to
  }

  /** Reads byte `i` of another reading, or several together, as one. */
  take({ from, to }: Reading, byte: number, first: number, last = first): void {
    this.add(byte, from[first] ?? 0, to[last] ?? 0)
  }

  /** What stands on both sides was not written together. */
  gap(): void {
    this.bytes[this.length++] = 0
  }
}

/** All readings behind one another, a gap after each. */
function together(readings: readonly Reading[]): Reading {
  const whole = new Reading(readings.reduce((sum, { length }) => sum + length + 1, 0))
  for (const { bytes, from, to, length } of readings) {
    whole.bytes.set(bytes.subarray(0, length), whole.length)
    whole.from.set(from.subarray(0, length), whole.length)
    whole.to.set(to.subarray(0, length), whole.length)
    whole.length += length
    whole.gap()
  }
  return whole
}

function blotted(clean: string, values: Values): string {
  const text = Buffer.from(clean)
  const literal = new Reading(text.length)
  for (let i = 0; i < text.length; i++) literal.add(text[i] ?? 0, i, i + 1)
  const readings = [...readingsOf(literal)]
  const read = together(readings)
  const hidden = new Uint8Array(text.length)
  const hide = (first: number, last: number) => hidden.fill(1, read.from[first], read.to[last])
  const bytes = Buffer.from(read.bytes.buffer)
  hideRuns(bytes, values.all, hide)
  hideShort(bytes, values.short, hide)
  hideEnds(bytes, values.all, hide)
  for (const decoded of readings) if (decoded.isDecoded) hideTokens(decoded, hidden)
  return withBlots(text, hidden)
}

function withBlots(text: Buffer, hidden: Uint8Array): string {
  // No character is cut in two.
  for (let i = 1; i < text.length; i++) if (isContinued(text[i]) && hidden[i - 1] === 1) hidden[i] = 1
  for (let i = text.length - 1; i > 0; i--) if (isContinued(text[i]) && hidden[i] === 1) hidden[i - 1] = 1
  const parts: string[] = []
  for (let i = 0; i < text.length;) {
    let end = i
    while (end < text.length && hidden[end] === hidden[i]) end++
    parts.push(hidden[i] === 1 ? blot : text.toString('utf8', i, end))
    i = end
  }
  return parts.join('')
}

const isContinued = (byte = 0) => (byte & 0xc0) === 0x80

function* readingsOf(literal: Reading): Iterable<Reading> {
  const once = unescaped(literal)
  for (const reading of [literal, once, once && unescaped(once), percentDecoded(literal)]) {
    if (reading === undefined) continue
    yield reading
    for (const start of [0, 1]) yield decoded(reading, { digit: hexDigit, bits: 4, least: 12 }, start)
    for (const start of [0, 1, 2, 3]) yield decoded(reading, { digit: base64Digit, bits: 6, least: 8 }, start)
  }
}

const hexDigit = (byte: number): number =>
  byte >= 48 && byte <= 57 ? byte - 48 : (byte | 32) >= 97 && (byte | 32) <= 102 ? (byte | 32) - 87 : -1

function base64Digit(byte: number): number {
  if (byte >= 65 && byte <= 90) return byte - 65
  if (byte >= 97 && byte <= 122) return byte - 71
  if (byte >= 48 && byte <= 57) return byte + 4
  if (byte === 43 || byte === 45) return 62
  return byte === 47 || byte === 95 ? 63 : -1
}

const [backslash, percent, plus] = [0x5c, 0x25, 0x2b]
/** `\n` and its kin stand for white space, which is left out. */
const blanks = new Set(['n', 'r', 't', 'b', 'f', 'v'].map((letter) => letter.charCodeAt(0)))

/** `\n`, `\"`, `\u00e9`, `\xe9`: JSON, and what shells and programs print. Undefined where nothing is escaped. */
function unescaped(reading: Reading): Reading | undefined {
  const { bytes, length } = reading
  if (!bytes.subarray(0, length).includes(backslash)) return undefined
  // `\xe9` is one byte, `\u00e9` at most three: never more than what was written.
  const read = new Reading(length)
  for (let i = 0; i < length; i++) {
    const [byte = 0, next = 0] = [bytes[i], bytes[i + 1]]
    if (byte !== backslash || i + 1 === length) {
      read.take(reading, byte, i)
      continue
    }
    const unit = next === 0x75 ? numberAt(bytes, i + 2, 4) : undefined
    const single = next === 0x78 ? numberAt(bytes, i + 2, 2) : undefined
    if (unit !== undefined) {
      // Two units of one character stand for it together.
      const second = isHigh(unit) && bytes[i + 6] === backslash ? numberAt(bytes, i + 8, 4) : undefined
      const last = i + (second === undefined ? 5 : 11)
      const character = String.fromCharCode(unit, ...(second === undefined ? [] : [second]))
      for (const each of Buffer.from(character)) read.take(reading, each, i, last)
      i = last
    } else if (single !== undefined) {
      read.take(reading, single, i, i + 3)
      i += 3
    } else {
      if (!blanks.has(next)) read.take(reading, next, i, i + 1)
      i++
    }
  }
  return read
}

const isHigh = (unit: number) => unit >= 0xd800 && unit <= 0xdbff

/** `%2F`, and `+` for a blank. Undefined where nothing is escaped. */
function percentDecoded(reading: Reading): Reading | undefined {
  const { bytes, length } = reading
  if (!bytes.subarray(0, length).includes(percent)) return undefined
  const read = new Reading(length)
  for (let i = 0; i < length; i++) {
    const byte = bytes[i] ?? 0
    const escaped = byte === percent ? numberAt(bytes, i + 1, 2) : undefined
    if (escaped !== undefined) read.take(reading, escaped, i, i + 2)
    else if (byte !== plus) read.take(reading, byte, i)
    if (escaped !== undefined) i += 2
  }
  return read
}

function numberAt(bytes: Uint8Array, start: number, digits: number): number | undefined {
  let number = 0
  for (let i = start; i < start + digits; i++) {
    const digit = hexDigit(bytes[i] ?? 0)
    if (digit < 0) return undefined
    number = number * 16 + digit
  }
  return number
}

/** How bytes are written in digits. */
interface Notation {
  readonly digit: (byte: number) => number
  readonly bits: number
  /** Fewer digits than this together are no value. */
  readonly least: number
}

/** Every run of digits, decoded from its digit number `start` on: a value may begin at any of them. */
function decoded(reading: Reading, { digit, bits, least }: Notation, start: number): Reading {
  const { bytes, length } = reading
  const read = new Reading(length)
  read.isDecoded = true
  for (let i = 0; i < length;) {
    let end = i
    while (end < length && digit(bytes[end] ?? 0) >= 0) end++
    if (end - i >= least) {
      let [held, width] = [0, 0]
      for (let at = i + start; at < end; at++) {
        held = ((held << bits) | digit(bytes[at] ?? 0)) & 0xffff
        width += bits
        if (width < 8) continue
        width -= 8
        read.take(reading, (held >> width) & 0xff, at - 1, at)
      }
      read.gap()
    }
    i = Math.max(end, i + 1)
  }
  return read
}

type Hide = (first: number, last: number) => void

/** Another one in each process, so that nobody makes values whose runs all hash to one number. */
const factor = (Math.floor(Math.random() * 2 ** 31) << 1) | 1
let outgoing = 1
for (let i = 0; i < run - 1; i++) outgoing = Math.imul(outgoing, factor)

/** Calls `see` with the hash of each run of the bytes, from the first one on. */
function rollOver(bytes: Uint8Array, see: (hash: number, at: number) => void): void {
  let hash = 0
  for (let i = 0; i < bytes.length; i++) {
    if (i >= run) hash = Math.imul(hash - Math.imul(bytes[i - run] ?? 0, outgoing), factor) + (bytes[i] ?? 0)
    else hash = Math.imul(hash, factor) + (bytes[i] ?? 0)
    if (i >= run - 1) see(hash | 0, i - run + 1)
  }
}

function hideRuns(bytes: Buffer, values: readonly string[], hide: Hide): void {
  if (bytes.length < run) return
  const size = 2 ** Math.ceil(Math.log2(bytes.length * 2))
  /** Open addressing: where a run begins, plus one. */
  const table = new Int32Array(size)
  const hashes = new Int32Array(bytes.length)
  /** Where the same run stands first, for each run. */
  const first = new Int32Array(bytes.length)
  const found = new Uint8Array(bytes.length)
  const slotOf = (hash: number, there: Uint8Array, at: number): number => {
    let slot = (Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 7) & (size - 1)
    for (;;) {
      const known = (table[slot] ?? 0) - 1
      if (known < 0 || (hashes[known] === hash && sameRun(bytes, known, there, at))) return slot
      slot = (slot + 1) & (size - 1)
    }
  }
  rollOver(bytes, (hash, at) => {
    hashes[at] = hash
    const slot = slotOf(hash, bytes, at)
    if (table[slot] === 0) table[slot] = at + 1
    first[at] = (table[slot] ?? 0) - 1
  })
  for (const value of values) {
    if (value.length < run) continue
    const there = Buffer.from(value, 'latin1')
    rollOver(there, (hash, at) => {
      const known = (table[slotOf(hash, there, at)] ?? 0) - 1
      if (known >= 0) found[known] = 1
    })
  }
  for (let at = 0; at + run <= bytes.length; at++) if (found[first[at] ?? 0] === 1) hide(at, at + run - 1)
}

function sameRun(a: Uint8Array, i: number, b: Uint8Array, j: number): boolean {
  for (let k = 0; k < run; k++) if (a[i + k] !== b[j + k]) return false
  return true
}

function hideShort(bytes: Buffer, short: ReadonlySet<string>, hide: Hide): void {
  if (short.size === 0) return
  const text = bytes.toString('latin1')
  const beginnings = new Set([...short].map((value) => value.slice(0, shortest)))
  for (let at = 0; at + shortest <= text.length; at++) {
    if (!beginnings.has(text.slice(at, at + shortest))) continue
    for (let length = shortest; length < run; length++)
      if (short.has(text.slice(at, at + length))) hide(at, at + length - 1)
  }
}

function hideTokens({ bytes, length, from, to }: Reading, hidden: Uint8Array): void {
  const text = Buffer.from(bytes.buffer, 0, length).toString('latin1')
  for (const { index, 0: token } of text.matchAll(tokenShape)) hidden.fill(1, from[index], to[index + token.length - 1])
}

/** Each reading has its ends, and wherever something was cut before, this mark stands. */
// oxlint-disable-next-line no-control-regex
const ends = /\0|\u00E2\u0080\u00A6/g

/** A value that the text ends or begins within. */
function hideEnds(bytes: Buffer, values: readonly string[], hide: Hide): void {
  const [tails, heads] = [new Map<string, number[]>(), new Map<string, number[]>()]
  const text = bytes.toString('latin1')
  let begin = 0
  for (const { index: end, 0: mark } of [...text.matchAll(ends), { index: text.length, 0: '' }]) {
    for (let length = shortest; length < run && length <= end - begin; length++) {
      note(tails, text.slice(end - length, end), end - length)
      note(heads, text.slice(begin, begin + length), begin)
    }
    begin = end + mark.length
  }
  const begun = new Set([...tails.keys()].map((key) => key.slice(0, shortest)))
  const ended = new Set([...heads.keys()].map((key) => key.slice(-shortest)))
  for (const value of values) {
    const longest = Math.min(run, value.length) - 1
    if (begun.has(value.slice(0, shortest)))
      for (let length = shortest; length <= longest; length++)
        for (const at of tails.get(value.slice(0, length)) ?? []) hide(at, at + length - 1)
    if (ended.has(value.slice(-shortest)))
      for (let length = shortest; length <= longest; length++)
        for (const at of heads.get(value.slice(-length)) ?? []) hide(at, at + length - 1)
  }
}

function note(places: Map<string, number[]>, text: string, at: number): void {
  const known = places.get(text)
  if (known === undefined) places.set(text, [at])
  else known.push(at)
}
