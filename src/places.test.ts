import { expect, test } from 'vitest'
import { type Bound, type Claim, Places } from './places.ts'

const limits = { total: 512, reserved: 32, pair: 8, destination: 16, caller: 32 }
/** Takes as many as it gets; says how many and what refused the next. */
function fill(places: Places, claim: (n: number) => Claim): { got: number; refused: Bound } {
  for (let got = 0; ; got++) {
    const place = places.take(claim(got))
    if (typeof place === 'string') return { got, refused: place }
  }
}

test('a caller, a destination and the pair of both are bounded', () => {
  expect(fill(new Places(limits), () => ({ pair: 'a b' }))).toEqual({ got: 8, refused: 'pair' })
  expect(fill(new Places(limits), () => ({ destination: 'b' }))).toEqual({ got: 16, refused: 'destination' })
  expect(fill(new Places(limits), () => ({ caller: 'a' }))).toEqual({ got: 32, refused: 'caller' })
})

test('one namespace holds a quarter, and many that hang leave places for the next one and for an admin', () => {
  const places = new Places(limits)
  expect(fill(places, () => ({ namespace: 'one' }))).toEqual({ got: 120, refused: 'namespace' })
  for (let n = 0; n < 10; n++) fill(places, () => ({ namespace: `n-${n}` }))
  expect(fill(places, () => ({ namespace: 'late' })).got).toBeGreaterThan(0)
  for (let n = 0; n < 500; n++) places.take({ namespace: `m-${n}` })
  expect(places.take({ namespace: 'last' })).toBe('total')
  expect(fill(places, () => ({}))).toEqual({ got: 32, refused: 'total' })
})

test('a place that is given back twice is one place', () => {
  const places = new Places({ ...limits, total: 2, reserved: 0 })
  const first = places.take({ pair: 'a' })
  if (typeof first === 'string') throw new Error(first)
  places.take({ pair: 'b' })
  expect(places.take({})).toBe('total')
  first()
  first()
  expect(fill(places, () => ({ pair: 'a' }))).toEqual({ got: 1, refused: 'total' })
})
