import { setTimeout as sleep } from 'node:timers/promises'
import { seconds } from '../duration.ts'
import type { Logger } from './log.ts'

const every = seconds(10)
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
