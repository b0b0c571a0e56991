/** The tree on a terminal, redrawn in place; without one, a line for each change. */
import { stripVTControlCharacters } from 'node:util'
import type { AgentLine } from './tree.ts'

export interface Screen {
  /** A line that stays. */
  say(line: string): void
  /** The tree as it now is. */
  show(title: string, lines: readonly AgentLine[]): void
  /** The tree stays as it was last shown, and lines go below it. */
  release(): void
}

/** https://no-color.org: set to anything, it asks for none. */
const colourless = () => (process.env['NO_COLOR'] ?? '') !== ''
const colour = (code: number) => (text: string) => (colourless() ? text : `\x1b[${String(code)}m${text}\x1b[0m`)
const green = colour(32)
const red = colour(31)
const yellow = colour(33)
const dim = colour(2)

export const createScreen = (out: NodeJS.WriteStream): Screen =>
  out.isTTY && process.env['TERM'] !== 'dumb' ? new Live(out) : new Plain(out)

/** Terminals that are resized by hand tell so many times a second. */
const settled = 200

class Live implements Screen {
  readonly #out: NodeJS.WriteStream
  /** Lines of the tree above the cursor. */
  #drawn = 0
  /** Columns that they were drawn for. */
  #width = 0
  #last: { readonly title: string; readonly lines: readonly AgentLine[] } | undefined
  /** What the last line told the progress of. */
  #step = ''

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
    let resized: NodeJS.Timeout | undefined
    out.on('resize', () => {
      clearTimeout(resized)
      resized = setTimeout(() => this.#drawAnew(), settled).unref()
    })
    // `fg` in a shell: what it printed stands where the tree was.
    process.on('SIGCONT', () => this.#drawAnew())
  }

  say(line: string): void {
    this.release()
    // `starting etcd … 7 s` takes the place of `starting etcd … 2 s`.
    const [step = '', time] = line.split(' … ')
    const again = time !== undefined && step === this.#step
    this.#step = time === undefined ? '' : step
    this.#out.write(`${again ? '\x1b[1A\r\x1b[K' : ''}${line}\n`)
  }

  show(title: string, lines: readonly AgentLine[]): void {
    this.#step = ''
    this.#last = { title, lines }
    // A terminal that does not know its size says 0.
    const width = this.#out.columns || 80
    if (width !== this.#width) this.#drawn = 0
    // More than fits cannot be redrawn: what has scrolled away is out of reach.
    const room = Math.max(3, (this.#out.rows || 24) - 4)
    const drawn = [cut(title, width), ...lines.slice(0, room).map((line, i) => row(line, lines, i, width))]
    if (lines.length > room) drawn.push(dim(`  … and ${String(lines.length - room)} more`))
    const up = this.#drawn > 0 ? `\x1b[${String(this.#drawn)}A` : ''
    // Each line is overwritten and its rest cleared, in one write: nothing is ever blank, so nothing flickers.
    this.#out.write(`\x1b[?25l${up}${drawn.map((text) => `\r${text}\x1b[K\n`).join('')}\x1b[J\x1b[?25h`)
    this.#drawn = drawn.length
    this.#width = width
  }

  release(): void {
    this.#drawn = 0
    this.#last = undefined
  }

  /**
   * Below what is there. Some terminals break lines anew when they are resized and others cut them, so that nothing tells
   * how many lines up the tree began: to go up by a guess would overwrite what was said before it.
   */
  #drawAnew(): void {
    if (this.#last === undefined) return
    this.#drawn = 0
    this.show(this.#last.title, this.#last.lines)
  }
}

class Plain implements Screen {
  readonly #out: NodeJS.WriteStream
  #title = ''
  readonly #said = new Map<string, string>()

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  say(line: string): void {
    this.#out.write(`${stripVTControlCharacters(line)}\n`)
  }

  show(title: string, lines: readonly AgentLine[]): void {
    if (title !== this.#title) this.say(title)
    this.#title = title
    const above: string[] = []
    for (const line of lines) {
      // Only lines that changed are printed, so that none stands below its parent: each says where it belongs.
      above.splice(line.depth, Infinity, line.displayName)
      const text = `  ${above.join(' / ')}: ${stateOf(line)}${line.why && ` (${line.why})`}`
      if (this.#said.get(line.name) !== text) this.say(text)
      this.#said.set(line.name, text)
    }
  }

  release(): void {
    this.#said.clear()
  }
}

const stateOf = (line: AgentLine) => (line.ready ? 'Ready' : line.stalled ? 'Stalled' : line.phase)

/** Columns that the name may take of a line; what is longer is cut, so that state and reason stay in sight. */
const nameShare = 0.45

function row(line: AgentLine, all: readonly AgentLine[], index: number, width: number): string {
  const widest = Math.max(...all.map((one) => widthOf(one.displayName) + 3 * one.depth))
  const column = Math.min(widest, Math.floor(width * nameShare))
  const name = cut(branch(line, all, index) + line.displayName, column)
  const mark = line.ready ? green('●') : line.stalled ? red('✗') : yellow('○')
  const padded = name + ' '.repeat(Math.max(0, column - widthOf(name)))
  const state = stateOf(line).padEnd(13)
  const left = `  ${mark} ${padded}  ${line.ready ? green(state) : state} `
  const room = width - widthOf(left)
  return room < 4 ? cut(stripVTControlCharacters(left), width) : left + dim(cut(line.why, room))
}

/** `│  ├─ ` and the like: a line is drawn down to the last sibling. */
function branch(line: AgentLine, all: readonly AgentLine[], index: number): string {
  if (line.depth === 0) return ''
  const goesOn = (depth: number) => all.slice(index + 1).find((later) => later.depth <= depth)?.depth === depth
  const stems = Array.from({ length: line.depth - 1 }, (_, i) => (goesOn(i + 1) ? '│  ' : '   '))
  return stems.join('') + (goesOn(line.depth) ? '├─ ' : '└─ ')
}

const letters = new Intl.Segmenter('en', { granularity: 'grapheme' })
const wide = /\p{Emoji_Presentation}|\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|\uFE0F/u

/** Columns on a terminal. */
function widthOf(text: string): number {
  let width = 0
  for (const { segment } of letters.segment(stripVTControlCharacters(text))) width += wide.test(segment) ? 2 : 1
  return width
}

/** To so many columns, of text without colours: a line that wraps would be two, and the next redraw one off. */
function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text
  let kept = ''
  let used = 1
  for (const { segment } of letters.segment(text)) {
    used += wide.test(segment) ? 2 : 1
    if (used > width) break
    kept += segment
  }
  return `${kept}…`
}
