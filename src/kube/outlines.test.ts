import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Outlines } from './outlines.ts'

test('what fits is found as a look at all of them finds it', () => {
  const key = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(5)).map(([namespace, name]) => `${namespace}/${name}`)
  const step = fc.oneof(fc.record({ key, bytes: fc.nat(9) }), fc.record({ key, bytes: fc.constant(undefined) }))
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 50 }),
      fc.record({ a: fc.nat(9), b: fc.nat(9), c: fc.nat(9) }),
      (steps, room) => {
        const fits = (namespace: string, bytes: number) => bytes <= (room[namespace as 'a'] ?? 0)
        const outlines = new Outlines()
        const kept = new Map<string, number>()
        for (const { key, bytes } of steps) {
          if (bytes === undefined) {
            outlines.delete(key)
            kept.delete(key)
          } else {
            outlines.set(key, bytes)
            kept.set(key, bytes)
          }
          expect([outlines.size, outlines.has(key)]).toEqual([kept.size, kept.has(key)])
          const fitting = [...kept].filter(([each, size]) => fits(each.slice(0, 1), size))
          const found = outlines.fitting(fits)
          expect(found === undefined).toBe(fitting.length === 0)
          if (found !== undefined) expect(fitting.map(([each]) => each)).toContain(found)
        }
      },
    ),
  )
})

test('of a hundred thousand one is looked at', () => {
  const outlines = new Outlines()
  for (let i = 0; i < 100_000; i++) outlines.set(`a/${i}`, 1e6 - i)
  let asked = 0
  const found = outlines.fitting((_, bytes) => {
    asked++
    return bytes < 1
  })
  expect([found, asked]).toEqual([undefined, 1])
})
