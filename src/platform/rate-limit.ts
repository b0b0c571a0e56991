/**
 * A token bucket per key, exactly: a caller that floods takes along no other. The keys longest unseen are forgotten first,
 * and begin anew with a whole burst; those that were idle for as long have it anyway.
 */
import { type Duration, milliseconds } from '../duration.ts'

export interface RateLimit {
  /** Takes `cost`, one unless given. Zero: go on; else nothing is taken, and that is how long until there is room. */
  take(key: string, now?: number, cost?: number): Duration
}

/** `perSecond` in the long run, `burst` at once. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** Some 100 bytes a key. */
const mostKeys = 1 << 15

export function rateLimit({ perSecond, burst }: Rate, most = mostKeys): RateLimit {
  const interval = 1000 / perSecond
  // When the bucket would be empty again, in ms of the monotonic clock: the whole state of it (GCRA).
  const emptyAt = new Map<string, number>()

  return {
    take(key, now = performance.now(), cost = 1) {
      const at = Math.max(emptyAt.get(key) ?? 0, now)
      const wait = Math.max(0, at - now - interval * (burst - cost))
      emptyAt.delete(key)
      if (emptyAt.size >= most) for (const unseen of emptyAt.keys().take(1)) emptyAt.delete(unseen)
      emptyAt.set(key, wait === 0 ? at + interval * cost : at)
      return milliseconds(wait)
    },
  }
}

/** By what an address is counted: IPv6 by its network of 64 bits, since whoever has one address there has them all. */
export function addressKey(address: string): string {
  const [plain = ''] = address.split('%')
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)?.[1]
  if (mapped !== undefined || !plain.includes(':')) return mapped ?? plain
  const [head = '', tail] = plain.split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const left = groups(head)
  const right = groups(tail ?? '')
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0')
  return [...left, ...zeros, ...right].slice(0, 4).join(':')
}
