/** The wall clock of an operator process, which a test may set while it runs. Its monotonic clock goes on as it was. */
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

export class Clock {
  /** Settings of an operator that goes by this clock. */
  readonly env: Readonly<Record<string, string>>
  readonly #file: string

  constructor(dir: string) {
    this.#file = join(dir, `clock-${randomBytes(4).toString('hex')}`)
    const preload = join(import.meta.dirname, 'shifted-date.mjs')
    this.env = { TEST_CLOCK_FILE: this.#file, NODE_OPTIONS: `--import=${preload}` }
    this.set(0)
  }

  /** Hours before (negative) or ahead of the time. */
  set(hours: number): void {
    writeFileSync(this.#file, String(hours * 3_600_000))
  }
}
