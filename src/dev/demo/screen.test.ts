import { EventEmitter } from 'node:events'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { AgentLine } from './tree.ts'
import { createScreen } from './screen.ts'

const line = (displayName: string, depth: number, ready = false): AgentLine => ({
  name: displayName,
  displayName,
  depth,
  phase: 'starting',
  ready,
  stalled: false,
  why: '',
})

/** What a terminal, or a pipe, is written. */
class Output extends EventEmitter {
  isTTY: boolean
  columns = 80
  rows = 24
  written = ''
  constructor(isTTY: boolean) {
    super()
    this.isTTY = isTTY
  }
  write(text: string): boolean {
    this.written += text
    return true
  }
}
const screenOf = (out: Output) => createScreen(out as unknown as NodeJS.WriteStream)

beforeEach(() => vi.useFakeTimers())
afterEach(() => {
  vi.useRealTimers()
  process.removeAllListeners('SIGCONT')
})

test('without a terminal each line says where in the tree it belongs', () => {
  const out = new Output(false)
  const screen = screenOf(out)
  screen.show('0 of 3', [line('Editor', 0), line('Desk', 1), line('Reporter', 2)])
  screen.show('1 of 3', [line('Editor', 0), line('Desk', 1), line('Reporter', 2, true)])
  expect(out.written.split('\n').slice(-3)).toEqual(['1 of 3', '  Editor / Desk / Reporter: Ready', ''])
})

test('a picture is drawn in place, and below what is there after a resize or a stop', () => {
  const out = new Output(true)
  const screen = screenOf(out)
  const drawn = () => {
    const text = out.written
    out.written = ''
    // eslint-disable-next-line no-control-regex
    return { up: Number(/\x1b\[(\d+)A/.exec(text)?.[1] ?? 0), text }
  }
  const lines = [line('Editor', 0), line('Desk', 1)]
  screen.show('0 of 2', lines)
  expect(drawn()).toMatchObject({ up: 0, text: expect.stringContaining('Desk') })
  screen.show('1 of 2', lines)
  expect(drawn().up).toBe(3)
  out.columns = 30
  for (let i = 0; i < 5; i++) out.emit('resize')
  expect(drawn().text).toBe('')
  vi.advanceTimersByTime(1000)
  expect(drawn()).toMatchObject({ up: 0, text: expect.stringContaining('Desk') })
  // A change that comes before the terminal has told that it was resized.
  out.columns = 60
  screen.show('2 of 2', lines)
  expect(drawn().up).toBe(0)
  screen.show('1 of 2', lines)
  expect(drawn().up).toBe(3)
  process.emit('SIGCONT')
  expect(drawn()).toMatchObject({ up: 0, text: expect.stringContaining('Desk') })
  screen.release()
  process.emit('SIGCONT')
  expect(drawn().text).toBe('')
})

test('colours are left out where NO_COLOR asks for it', async () => {
  for (const [given, coloured] of [
    ['1', false],
    ['', true],
  ] as const) {
    vi.stubEnv('NO_COLOR', given)
    const out = new Output(true)
    screenOf(out).show('1 of 1', [line('Editor', 0, true)])
    expect(out.written.includes('\x1b[32m')).toBe(coloured)
  }
  vi.unstubAllEnvs()
})
