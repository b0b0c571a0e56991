/**
 * Many small writes become few statements. A lone write leaves at once; writes that come fast wait for company, as long as
 * the hastiest of them allows: not at all where somebody waits for it, but for the statement under way.
 *
 *   add ──► pending ──(full, or quiet, or the pause since the last flush is over)──► one statement ──► every caller answered
 *                                                  refused as a whole ──► parts, until the culprit stands alone
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Haste } from '../haste.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { SpanLink } from '../../telemetry/span.ts'
import { here, traced } from '../../telemetry/trace.ts'
import { faultOf, surfaced } from './faults.ts'

export interface BatcherOptions<Item, Result> {
  readonly name: string
  /** Items of one key in one batch collapse: the last one is written, all callers get its result. Also the row order. */
  readonly key: (item: Item) => string
  /**
   * One idempotent statement, items sorted by key; results in the order of the items. An Error as a result rejects that
   * caller alone; a throw is of the statement as a whole, and nothing was written.
   */
  readonly write: (items: readonly Item[]) => Promise<readonly (Result | Error)[]>
  readonly metrics: Metrics
  readonly maxRows?: number
  /** Bytes of an item, where they are worth counting: a statement has a few mebibytes of them, or a single item. */
  readonly weigh?: (item: Item) => number
  /**
   * Milliseconds that an item waits for company at most, while more keep coming; nobody waits for long for what makes no
   * difference. Unless it is given, a lull ends the wait.
   */
  readonly pause?: number
  /** Statements under way at most, beside the parts of a refused one. One: what follows sees what went before. */
  readonly concurrency?: number
}

export interface Batcher<Item, Result> {
  /** What is pending with an item leaves with it. */
  add(item: Item, haste?: Haste): Promise<Result>
  /** Writes what waits and ends. Later adds are refused. */
  close(): Promise<void>
}

/** A caller, and the span it waits in. */
type Waiter<Result> = PromiseWithResolvers<Result> & { link?: SpanLink }

interface Entry<Item, Result> {
  item: Item
  readonly waiters: Waiter<Result>[]
}

/** How items wait for company. */
interface Pace {
  /** Milliseconds between two flushes while more keeps coming. */
  readonly pause: number
  /** Milliseconds without a newcomer after which nobody is waited for any longer; and in the middle of a long burst. */
  readonly lull: number
  readonly longLull: number
  /** Rows that are company enough; and a burst is long when it had more of them. */
  readonly enough: number
}

/** In a burst of 500 a second the first makes some 50 rows a statement; the second does in a burst of 100, or waits less. */
const paces: Readonly<Record<Exclude<Haste, 'now'>, Pace>> = {
  soon: { pause: 100, lull: 25, longLull: 25, enough: Infinity },
  calm: { pause: 500, lull: 60, longLull: 200, enough: 50 },
}
/** Milliseconds without a statement after which a burst is over. */
const burstEnds = 1000
const ranks: Readonly<Record<Haste, number>> = { calm: 0, soon: 1, now: 2 }
/** Bytes of one statement, where items are weighed. */
const mostBytes = 4 * 1024 * 1024
/** Waits before the second, third … try of a statement that met a fault. */
const retryWaits = [50, 150, 400, 700, 700]
/** No try begins later than this after the first: the caller has a queue of its own to wait in. */
const patience = 3000
/**
 * Parts that a refused batch is divided into. Sixteen: a culprit among 200 is alone after two divisions, so that the
 * others wait three times for a row that somebody else has locked, not eight times as with halves.
 */
const parts = 16

export function createBatcher<Item, Result>(options: BatcherOptions<Item, Result>): Batcher<Item, Result> {
  const { name, key, write, metrics, maxRows = 200, weigh = () => 0, concurrency = 1, pause } = options
  type Row = Entry<Item, Result>
  const pending = new Map<string, Row>()
  let lastFlush = -Infinity
  /** Rows since writes last came one by one. */
  let burst = 0
  let sizeBefore = 0
  /** Of the hastiest item that waits. */
  let haste: Haste = 'calm'
  let timer: NodeJS.Timeout | NodeJS.Immediate | undefined
  const underWay = new Set<Promise<void>>()
  let closed = false
  for (const counter of [metrics.sqlStatements, metrics.sqlRows, metrics.sqlPoisoned]) counter.inc({ name }, 0)

  function schedule(): void {
    if (pending.size === 0 || underWay.size >= concurrency) return
    if (pending.size >= maxRows || closed) return flush()
    if (timer) return
    if (haste === 'now') {
      timer = setImmediate(flush)
      return
    }
    const pace = pause === undefined ? paces[haste] : { pause, lull: pause, longLull: pause, enough: maxRows }
    const lull = burst > pace.enough ? pace.longLull : pace.lull
    const wait = pending.size >= pace.enough ? 0 : lastFlush + pace.pause - performance.now()
    sizeBefore = pending.size
    // Even a lone write waits for the end of this turn of the event loop: a caller's loop may be adding its siblings.
    timer = wait > 0 ? setTimeout(lookAgain, Math.min(wait, lull)) : setImmediate(flush)
  }

  function lookAgain(): void {
    clear()
    if (pending.size === sizeBefore) flush()
    else schedule()
  }

  function flush(): void {
    clear()
    if (underWay.size >= concurrency) return
    const oldest = takeOldest()
    if (oldest.length === 0) return
    if (pending.size === 0) haste = 'calm'
    const batch = oldest.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry)
    const now = performance.now()
    burst = now - lastFlush > burstEnds ? batch.length : burst + batch.length
    lastFlush = now
    metrics.sqlRows.inc({ name }, batch.length)
    const work = settle(batch).finally(() => {
      underWay.delete(work)
      schedule()
    })
    underWay.add(work)
    schedule()
  }

  function takeOldest(): [string, Row][] {
    const taken: [string, Row][] = []
    let bytes = 0
    for (const [at, row] of pending) {
      bytes += weigh(row.item)
      if (taken.length === maxRows || (taken.length > 0 && bytes > mostBytes)) break
      taken.push([at, row])
      pending.delete(at)
    }
    return taken
  }

  function clear(): void {
    if (timer) {
      clearTimeout(timer as NodeJS.Timeout)
      clearImmediate(timer as NodeJS.Immediate)
    }
    timer = undefined
  }

  /** Never rejects: whatever happens is told to the callers. */
  async function settle(batch: readonly Row[]): Promise<void> {
    try {
      const results = await traced(
        'sql batch',
        {
          attributes: () => ({ 'db.system.name': 'postgresql', 'db.operation.name': name, 'db.rows': batch.length }),
          links: () => batch.flatMap(({ waiters }) => waiters.flatMap(({ link }) => link ?? [])),
        },
        () => writePatiently(batch.map((row) => row.item)),
      )
      for (const [index, row] of batch.entries()) answer(row, results[index])
    } catch (error) {
      if (batch.length > 1 && divisible(error)) {
        const size = Math.ceil(batch.length / parts)
        const starts = Array.from({ length: Math.ceil(batch.length / size) }, (_, part) => part * size)
        await Promise.all(starts.map((start) => settle(batch.slice(start, start + size))))
        return
      }
      if (faultOf(error) === 'row') metrics.sqlPoisoned.inc({ name })
      for (const row of batch) for (const waiter of row.waiters) waiter.reject(surfaced(error))
    }
  }

  function answer(row: Row, result: Result | Error | undefined): void {
    for (const waiter of row.waiters) {
      if (result instanceof Error) waiter.reject(result)
      else waiter.resolve(result as Result)
    }
  }

  /** Repeats what a lost connection or a lost race spoiled. Safe, since statements are idempotent: a COMMIT may have worked. */
  async function writePatiently(items: readonly Item[]): Promise<readonly (Result | Error)[]> {
    const began = performance.now()
    for (const wait of retryWaits) {
      try {
        return await write(items)
      } catch (error) {
        const fault = faultOf(error)
        const again = fault === 'connection' || fault === 'clash' || (fault === 'conflict' && items.length === 1)
        if (!again || closed || performance.now() - began > patience) throw error
        await sleep(wait * (0.5 + Math.random()))
      }
    }
    return write(items)
  }

  return {
    add(item, wanted = 'soon') {
      if (closed) return Promise.reject(new Error(`${name}: the store is closed`))
      if (ranks[wanted] > ranks[haste]) {
        haste = wanted
        clear()
      }
      const waiter: Waiter<Result> = Promise.withResolvers<Result>()
      const link = here()
      if (link) waiter.link = link
      const at = key(item)
      const entry = pending.get(at)
      if (entry) {
        entry.item = item
        entry.waiters.push(waiter)
      } else pending.set(at, { item, waiters: [waiter] })
      if (!timer || pending.size >= maxRows) schedule()
      return waiter.promise
    },
    async close() {
      closed = true
      clear()
      schedule()
      while (underWay.size > 0) await Promise.all(underWay)
    },
  }
}

/** Faults that one row can be the cause of: the others are worth a statement of their own. */
function divisible(error: unknown): boolean {
  const fault = faultOf(error)
  return fault === 'row' || fault === 'conflict' || fault === 'slow'
}
