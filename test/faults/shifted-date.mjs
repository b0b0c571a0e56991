// Preloaded into an operator: `Date` is off by as many milliseconds as a file says, read again ten times a second.
import { readFileSync } from 'node:fs'

const Real = Date
const file = process.env['TEST_CLOCK_FILE'] ?? ''
let [shift, readAt] = [0, Number.NEGATIVE_INFINITY]

function off() {
  if (performance.now() - readAt > 100) {
    readAt = performance.now()
    shift = Number(readFileSync(file, 'utf8')) || 0
  }
  return shift
}

globalThis.Date = class extends Real {
  constructor(...args) {
    super(...(args.length === 0 ? [Real.now() + off()] : args))
  }
  static now() {
    return Real.now() + off()
  }
}
