/** What large bodies leave behind, in a process of its own whose memory nothing else moves. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, test } from 'vitest'

async function most(how: 'collected' | 'left'): Promise<number> {
  const child = fork(join(import.meta.dirname, 'bodies-process.ts'), [how], {
    execArgv: ['--expose-gc', '--max-semi-space-size=8'],
  })
  const [bytes] = (await once(child, 'message')) as [number]
  return bytes / 1024 / 1024
}

test('buffers that were dropped are collected long before V8 would', async () => {
  const [collected, left] = [await most('collected'), await most('left')]
  // 16 MiB and what comes between two looks, against 64.
  expect(collected).toBeLessThan(left * 0.8)
})
