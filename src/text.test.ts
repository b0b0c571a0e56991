import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { cut, oneLine, plain, tail } from './text.ts'

const anyText = fc.string({ unit: 'binary', maxLength: 300 })

test('terminal sequences, control, text-direction and zero-width characters are taken out', () => {
  expect(plain('\u001B[31mred\u001B[0m\u0007\u202Etxt\u200B.\u00ADexe\u{E0041}')).toBe('redtxt.exe')
  expect(plain('\u001B]0;title\u0007a\u001B]8;;http://x\u001B\\link\u001B]8;;\u001B\\\u001B(B')).toBe('alink')
  expect(plain('a\u001B]0;no end\nb')).toBe('a\nb')
  expect(plain('a\0b\uD800c')).toBe('ab\uFFFDc')
})

test('every kind of line end is a line feed, a tab a blank', () => {
  expect(plain('a\r\nb\rc\u2028d\te')).toBe('a\nb\nc\nd e')
})

test('on one line, lines are joined without what stood around their ends', () => {
  expect(oneLine(' a \r\n\n  b\n')).toBe('a b')
  expect(oneLine('a\nb', ' | ')).toBe('a | b')
  expect(oneLine(`a${' '.repeat(200_000)}b`)).toHaveLength(200_002)
})

test('what is left has nothing invisible, and is left as it is when it comes again', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const clean = oneLine(text)
      expect(clean).toMatch(/^[^\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]*$/u)
      expect(oneLine(clean)).toBe(clean)
      expect(plain(plain(text))).toBe(plain(text))
    }),
  )
})

test('a cut keeps within the length, marks itself and parts no character', () => {
  expect(cut('abcdef', 4)).toBe('abc…')
  expect(tail('abcdef', 4)).toBe('…def')
  expect(cut('abcd', 4)).toBe('abcd')
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 2, max: 20 }), (text, longest) => {
      for (const short of [cut(text, longest), tail(text, longest)]) {
        expect(short.length).toBeLessThanOrEqual(longest)
        expect(short.isWellFormed()).toBe(true)
      }
    }),
  )
})
