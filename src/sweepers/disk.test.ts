import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { DiskUse } from '../backends/backend.ts'
import { milliseconds } from '../duration.ts'
import { createLogger } from '../telemetry/log.ts'
import { diskSweeper } from './disk.ts'

test('who goes above a bound or comes below it is told once, and an engine that does not answer changes nothing', async () => {
  const ref = (uid: string) => ({ uid, namespace: 'a', name: uid })
  const found: (readonly DiskUse[] | Error)[] = [
    [
      { ref: ref('big'), bytes: 50 },
      { ref: ref('small'), bytes: 10 },
    ],
    [
      { ref: ref('big'), bytes: 101 },
      { ref: ref('small'), bytes: 11 },
    ],
    [
      { ref: ref('big'), bytes: 150 },
      { ref: ref('small'), bytes: 12 },
    ],
    new Error('the engine does not answer'),
    [{ ref: ref('big'), bytes: 100 }],
  ]
  const used = new Map<string, number>()
  const told: string[] = []
  const rounds: string[] = []
  const stop = new AbortController()
  const disk = async () => {
    rounds.push(`${[...used].join(' ')}; ${told.splice(0).join()}`)
    const next = found.shift()
    if (next === undefined) stop.abort()
    if (next instanceof Error) throw next
    return next ?? []
  }
  const sweeper = diskSweeper({
    backends: [{ disk }],
    bounds: [100],
    used,
    onCrossed: ({ uid }) => told.push(uid),
    log: createLogger('fatal'),
    every: milliseconds(1),
  })
  await sweeper.start(stop.signal)
  await turn()
  expect(rounds).toEqual([
    '; ',
    'big,50 small,10; ',
    'big,101 small,11; big',
    'big,150 small,12; ',
    'big,150 small,12; ',
    'big,100; big',
  ])
})
