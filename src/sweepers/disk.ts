/** Looks now and then how much disk instances take: engines bound it seldom, and never that of volumes. */
import type { Backend, InstanceRef } from '../backends/backend.ts'
import { type Duration, minutes } from '../duration.ts'
import type { Logger } from '../telemetry/log.ts'
import { createSweeper, type Sweeper } from './sweeper.ts'

export interface DiskOptions {
  readonly backends: readonly Pick<Backend, 'disk'>[]
  /** Bytes that any tier allows. */
  readonly bounds: readonly number[]
  /** Where the bytes of each uid are kept, for passes to read. */
  readonly used: Map<string, number>
  /** Told of an instance that went above a bound, or came below it again. */
  readonly onCrossed: (ref: InstanceRef) => void
  readonly log: Logger
  /** An engine adds up its whole disk for each look. */
  readonly every?: Duration
}

export function diskSweeper({ backends, bounds, used, onCrossed, log, every = minutes(15) }: DiskOptions): Sweeper {
  const boundsBelow = (bytes: number) => bounds.filter((bound) => bytes > bound).length

  async function sweep(signal: AbortSignal): Promise<void> {
    // One that does not answer leaves all as it was.
    const found = (await Promise.all(backends.map((backend) => backend.disk(signal)))).flat()
    const uids = new Set(found.map(({ ref }) => ref.uid))
    for (const uid of used.keys()) if (!uids.has(uid)) used.delete(uid)
    for (const { ref, bytes } of found) {
      const before = used.get(ref.uid) ?? 0
      used.set(ref.uid, bytes)
      if (boundsBelow(before) !== boundsBelow(bytes)) onCrossed(ref)
    }
  }
  return createSweeper({ name: 'disk', every, log, sweep })
}
