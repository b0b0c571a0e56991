import { describe, expect, it } from 'vitest'
import { card, layOut, measure, overlapping, type Box, type Card } from './layout.ts'

const old: Card = { width: 240, height: 130 }
const box = (...children: Box[]): Box => ({ children })
const leaves = (n: number) => Array.from({ length: n }, () => box())

describe('the golden coordinates', () => {
  for (const { leaf, size, xs, ys } of [
    { leaf: old, size: { width: 526, height: 564 }, xs: [516, 770], ys: [170, 314, 458] },
    { leaf: card, size: { width: 646, height: 702 }, xs: [516, 830], ys: [170, 360, 550] },
  ]) {
    it(`holds for one director of six with cards of ${leaf.width}×${leaf.height}`, () => {
      const children = leaves(6)
      const root = { children, at: { x: 500, y: 40 } }
      const places = layOut([root], leaf)
      expect(measure(root, leaf).size).toEqual(size)
      expect(places.get(root)).toEqual({ x: 500, y: 40 })
      expect(children.map((child) => places.get(child))).toEqual(
        [0, 1, 2, 3, 4, 5].map((i) => ({ x: xs[i % 2], y: ys[Math.floor(i / 2)] })),
      )
    })
  }

  it('measures a box of seven or eight leaves', () => {
    expect(measure(box(...leaves(8)), old).size).toEqual({ width: 526, height: 708 })
    expect(measure(box(...leaves(7)), card).size).toEqual({ width: 646, height: 892 })
  })

  it('gives every column the width of the widest box and every row the height of its tallest', () => {
    const inner = box(...leaves(2))
    const [a, b, c] = [box(), box(), box()]
    const places = layOut([{ children: [a, inner, b, c] }], card)
    expect(measure(inner, card).size).toEqual({ width: 646, height: 322 })
    expect([a, inner, b, c].map((each) => places.get(each))).toEqual([
      { x: 16, y: 130 },
      { x: 676, y: 130 },
      { x: 16, y: 466 },
      { x: 676, y: 466 },
    ])
  })
})

it('puts a root without a canvas beside the others, never upon them', () => {
  const first = { children: leaves(6), at: { x: 400, y: 50 } }
  const second = box()
  const places = layOut([first, second])
  expect(places.get(second)).toEqual({ x: 400 + 646 + 14, y: 0 })
  expect(layOut([second]).get(second)).toEqual({ x: 0, y: 0 })
})

it('keeps a root without a canvas off those that come after it, too', () => {
  const free = { children: leaves(2) }
  const placed = { children: leaves(6), at: { x: 400, y: 50 } }
  const left = { children: [], at: { x: -5000, y: 0 } }
  const last = box()
  const places = layOut([free, placed, left, last])
  expect([places.get(free), places.get(last)]).toEqual([
    { x: 400 + 646 + 14, y: 0 },
    { x: 400 + 646 + 14 + 646 + 14, y: 0 },
  ])
})

it.each([
  ['five thousand roots', leaves(5000)],
  ['what a person has put at the far end', [{ children: leaves(2), at: { x: 999_990, y: 20 } }, ...leaves(3)]],
])('puts %s where they can be drawn, and none upon another', (_what, roots) => {
  const places = layOut(roots)
  const drawn = roots.map((root) => ({ children: root.children, at: places.get(root) }))
  for (const { at } of drawn) expect(Math.max(at?.x ?? Infinity, at?.y ?? Infinity)).toBeLessThanOrEqual(1e6)
  expect(overlapping(drawn)).toEqual([])
})

it('finds roots that were placed upon each other, and none that only touch', () => {
  const at = (x: number, y: number) => ({ children: [], at: { x, y } })
  const [a, b, c, d] = [at(0, 0), at(299, 175), at(300, 0), at(0, 176)]
  expect(overlapping([a, b, box()])).toEqual([[a, b]])
  expect(overlapping([a, c, d])).toEqual([])
})
