import { setTimeout as sleep } from 'node:timers/promises'
import { milliseconds, seconds } from '../duration.ts'
import type { Logger } from './log.ts'

const every = seconds(10)
const glance = milliseconds(200)
/** Bytes of buffers that may gather before they are collected. */
const buffersKept = 16 * 1024 * 1024
/** Bytes of resident memory below which V8 is left alone, and how much more than what was left may gather above them. */
const [leftAlone, headroom] = [180 * 1024 * 1024, 1.1]
/** Below this share of busy time a pause of the loop is felt by nobody. */
const idle = 0.05
/** How much the heap may have grown over what was alive before collecting is worth it. */
const growth = 1.25

/**
 * Collects what a burst left behind, once the burst is over: V8 does so only when memory is asked for again, which on an
 * operator at rest may be hours away. Needs `--expose-gc`; does nothing without.
 */
export async function giveMemoryBack(log: Logger, signal: AbortSignal): Promise<void> {
  const { gc } = globalThis
  let alive = 0
  while (!signal.aborted) {
    const before = performance.eventLoopUtilization()
    await sleep(every, undefined, { signal, ref: false }).catch(() => undefined)
    const { utilization } = performance.eventLoopUtilization(before)
    const { heapTotal } = process.memoryUsage()
    if (gc === undefined || signal.aborted || utilization > idle || heapTotal < alive * growth) continue
    const began = performance.now()
    gc({ type: 'major', execution: 'sync', flavor: 'last-resort' })
    alive = process.memoryUsage().heapTotal
    log.debug(
      { heapBefore: heapTotal, heapAfter: alive, ms: Math.round(performance.now() - began) },
      'memory given back',
    )
  }
}

/**
 * Collects what bodies leave behind before there is much of it: their buffers, which are no part of V8's heap and of which it
 * lets 64 MiB gather, and their texts, since V8 lets its heap grow to several times of what is alive. Buffers are young
 * when they are dropped: collecting the young generation takes a few milliseconds. To collect all and give the pages back
 * takes some 60, and is done only above what is left alone, and where resident memory has grown by a tenth since the last
 * time. Needs `--expose-gc`; does nothing without.
 */
export function collectBodies(signal: AbortSignal): void {
  const { gc } = globalThis
  if (gc === undefined) return
  let leastBuffers = Infinity
  let most = leftAlone
  let collected = false
  const timer = setInterval(() => {
    const { arrayBuffers, rss } = process.memoryUsage()
    leastBuffers = Math.min(leastBuffers, arrayBuffers)
    // Pages go back to the system a while after they were collected.
    if (collected) most = Math.max(leftAlone, rss * headroom)
    collected = rss >= most
    if (collected) gc({ type: 'major', execution: 'sync', flavor: 'last-resort' })
    else if (arrayBuffers >= leastBuffers + buffersKept) gc({ type: 'minor' })
  }, glance)
  timer.unref()
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
}
