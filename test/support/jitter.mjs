/**
 * Delays what every socket of a process reads by up to JITTER_MS milliseconds (40), at random, half of the time, each
 * socket's bytes in their order. An answer then comes well after the watch event or the row that it caused, or before:
 * a test that relies on which is told first fails at once, instead of once in a hundred runs on somebody's machine.
 *
 *     NODE_OPTIONS="--import $PWD/test/support/jitter.mjs" npm test -- --project kube
 */
import { Socket } from 'node:net'
import { Readable } from 'node:stream'

const most = Number(process.env['JITTER_MS'] ?? 40)

/** What each socket has read and not yet been given: the arguments of `push`. */
const held = new WeakMap()

Socket.prototype.push = function (...read) {
  const earlier = held.get(this)
  if (earlier !== undefined) {
    earlier.push(read)
    return true
  }
  if (Math.random() < 0.5) return Readable.prototype.push.apply(this, read)
  const reads = [read]
  held.set(this, reads)
  // Most delays are short, a few are long: that is what reorders.
  setTimeout(
    () => {
      held.delete(this)
      for (const one of reads) if (!this.destroyed) Readable.prototype.push.apply(this, one)
    },
    most * Math.random() ** 3,
  )
  return true
}
