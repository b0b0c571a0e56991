/** Drops buffers as a flood of large bodies does, and tells its parent how many bytes of them there were at most. */
import { setTimeout as wait } from 'node:timers/promises'
import { collectBodies } from '../../src/telemetry/memory.ts'

const stop = new AbortController()
if (process.argv[2] === 'collected') collectBodies(stop.signal)
let most = 0
for (let round = 0; round < 300; round++) {
  for (let n = 0; n < 8; n++) Buffer.allocUnsafeSlow(64 * 1024).fill(1)
  most = Math.max(most, process.memoryUsage().arrayBuffers)
  await wait(5)
}
stop.abort()
process.send?.(most)
process.disconnect()
