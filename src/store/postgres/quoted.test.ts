import { assert, constantFrom, property, string } from 'fast-check'
import { expect, test } from 'vitest'
import { quoted } from './quoted.ts'

const plainly = (text: string) => `"${text.replace(/["\\]/g, (character) => `\\${character}`)}"`

test('marks and backslashes are escaped, whatever the length of the text', () => {
  const piece = string({ unit: constantFrom('\\', '"', 'a', 'é', '漢', '😀', '\n'), maxLength: 50 })
  assert(
    property(piece, constantFrom(1, 1000, 3000), (text, times) => {
      const whole = text.repeat(times)
      expect(quoted(whole) === plainly(whole)).toBe(true)
    }),
  )
})

test('a long text leaves nothing in a shorter one that comes after it', () => {
  for (const size of [2_000_000, 20_000, 17_000, 900_000]) {
    const text = `${'\\"'.repeat(size / 2)}end`
    expect(quoted(text) === plainly(text)).toBe(true)
  }
})
