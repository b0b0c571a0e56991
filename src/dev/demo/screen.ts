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

const colour = (code: number) => (text: string) => `\x1b[${String(code)}m${text}\x1b[0m`
const green = colour(32)
const red = colour(31)
const yellow = colour(33)
const dim = colour(2)

export const createScreen = (out: NodeJS.WriteStream): Screen => (out.isTTY ? new Live(out) : new Plain(out))

class Live implements Screen {
  readonly #out: NodeJS.WriteStream
  /** Lines of the tree that stand above the cursor. */
  #height = 0
  /** What the last line told the progress of. */
  #step = ''

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
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
    // A terminal that does not know its size says 0.
    const width = this.#out.columns || 80
    // More than fits cannot be redrawn: what has scrolled away is out of reach.
    const room = Math.max(3, (this.#out.rows || 24) - 4)
    const shown = lines.slice(0, room)
    const drawn = [title, ...shown.map((line, i) => row(line, lines, i))].map((text) => cut(text, width))
    if (lines.length > room) drawn.push(dim(`  … and ${String(lines.length - room)} more`))
    // Each line is overwritten and its rest cleared, in one write: nothing is ever blank, so nothing flickers.
    const up = this.#height > 0 ? `\x1b[${String(this.#height)}A` : ''
    this.#out.write(`\x1b[?25l${up}${drawn.map((text) => `\r${text}\x1b[K\n`).join('')}\x1b[J\x1b[?25h`)
    this.#height = drawn.length
  }

  release(): void {
    this.#height = 0
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
    for (const line of lines) {
      const text = `  ${'  '.repeat(line.depth)}${line.displayName}: ${stateOf(line)}${line.why && ` (${line.why})`}`
      if (this.#said.get(line.name) !== text) this.say(text)
      this.#said.set(line.name, text)
    }
  }

  release(): void {
    this.#said.clear()
  }
}

const stateOf = (line: AgentLine) => (line.ready ? 'Ready' : line.stalled ? 'Stalled' : line.phase)

function row(line: AgentLine, all: readonly AgentLine[], index: number): string {
  const name = branch(line, all, index) + line.displayName
  const widest = Math.max(...all.map((one) => one.displayName.length + 3 * one.depth))
  const mark = line.ready ? green('●') : line.stalled ? red('✗') : yellow('○')
  const state = line.ready ? green('Ready'.padEnd(13)) : stateOf(line).padEnd(13)
  return `  ${mark} ${name.padEnd(widest)}  ${state} ${dim(line.why)}`
}

/** `│  ├─ ` and the like: a line is drawn down to the last sibling. */
function branch(line: AgentLine, all: readonly AgentLine[], index: number): string {
  if (line.depth === 0) return ''
  const goesOn = (depth: number) => all.slice(index + 1).find((later) => later.depth <= depth)?.depth === depth
  const stems = Array.from({ length: line.depth - 1 }, (_, i) => (goesOn(i + 1) ? '│  ' : '   '))
  return stems.join('') + (goesOn(line.depth) ? '├─ ' : '└─ ')
}

/** To the width of the terminal: a line that wraps would be two, and the next redraw one off. */
function cut(text: string, width: number): string {
  const over = stripVTControlCharacters(text).length - width
  if (over <= 0) return text
  return `${stripVTControlCharacters(text).slice(0, Math.max(0, width - 1))}…`
}
