import { setTimeout as sleep } from 'node:timers/promises'
import { getHeapSpaceStatistics } from 'node:v8'
import { milliseconds, seconds } from '../duration.ts'
import type { Logger } from './log.ts'

const every = seconds(10)
const glance = milliseconds(200)
/** Bytes that may gather before they are collected. */
const [buffersKept, textsKept] = [16 * 1024 * 1024, 24 * 1024 * 1024]
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
 * Collects what large bodies leave behind before there is much of it: their buffers, which are no part of V8's heap and of
 * which it lets 64 MiB gather, and their texts, which it lets grow with the heap. Buffers are young when they are dropped:
 * collecting the young generation takes a few milliseconds. Needs `--expose-gc`; does nothing without.
 */
export function collectBodies(signal: AbortSignal): void {
  const { gc } = globalThis
  if (gc === undefined) return
  const least = { buffers: 0, texts: Infinity }
  const timer = setInterval(() => {
    const tooMuch = () => {
      const [buffers, texts] = [process.memoryUsage().arrayBuffers, largeObjects()]
      least.texts = Math.min(least.texts, texts)
      least.buffers = Math.min(least.buffers, buffers)
      return { buffers: buffers >= least.buffers + buffersKept, texts: texts >= least.texts + textsKept }
    }
    const now = tooMuch()
    if (now.buffers) gc({ type: 'minor' })
    if (!now.texts && !(now.buffers && tooMuch().buffers)) return
    gc({ type: 'major' })
    Object.assign(least, { buffers: process.memoryUsage().arrayBuffers, texts: largeObjects() })
  }, glance)
  timer.unref()
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
}

/** Bytes of the old objects that fill no page with others: texts of 128 KiB and more. */
const largeObjects = (): number =>
  getHeapSpaceStatistics().find(({ space_name }) => space_name === 'large_object_space')?.space_used_size ?? 0
