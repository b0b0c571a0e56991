/**
 * A token bucket per key in fixed memory. Keys share a slot where their hashes meet, which only makes the limit
 * stricter for the two; the seed is random, so nobody can choose to meet somebody.
 */
import { randomInt } from 'node:crypto'
import { type Duration, milliseconds } from '../duration.ts'

export interface RateLimit {
  /** Takes one request. Zero: go on; else how long until one is free again. */
  take(key: string, now?: number): Duration
  /** The same look without taking. */
  wait(key: string, now?: number): Duration
  /** Takes what was found out too late to be refused, into debt if need be: at most another burst of it. */
  charge(key: string, now?: number): void
}

/** `perSecond` in the long run, `burst` at once. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** `slots` is a power of two: 8 bytes each. */
export function rateLimit({ perSecond, burst }: Rate, slots = 1 << 15): RateLimit {
  const interval = 1000 / perSecond
  const tolerance = interval * (burst - 1)
  // When the slot would be empty again, in ms of the monotonic clock: the whole state of a bucket (GCRA).
  const emptyAt = new Float64Array(slots)
  const seed = randomInt(2 ** 31)

  const slotOf = (key: string): number => {
    let hash = seed
    for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
    return (hash ^ (hash >>> 13)) & (slots - 1)
  }
  const waitOf = (slot: number, now: number) => milliseconds(Math.max(0, (emptyAt[slot] ?? 0) - now - tolerance))

  return {
    wait: (key, now = performance.now()) => waitOf(slotOf(key), now),
    charge(key, now = performance.now()) {
      const slot = slotOf(key)
      emptyAt[slot] = Math.min(Math.max(emptyAt[slot] ?? 0, now) + interval, now + 2 * interval * burst)
    },
    take(key, now = performance.now()) {
      const slot = slotOf(key)
      const wait = waitOf(slot, now)
      if (wait === 0) emptyAt[slot] = Math.max(emptyAt[slot] ?? 0, now) + interval
      return wait
    },
  }
}
