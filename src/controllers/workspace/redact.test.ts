import { expect, test } from 'vitest'
import { lastWords } from './redact.ts'
import { mintToken } from './token.ts'

test('secret values and tokens never come through, wherever they stand', () => {
  const token = mintToken().text
  const said = lastWords(`key=hunter2hunter2;\nbearer ${token}\n`, ['hunter2hunter2'])
  expect(said).toBe('key=[redacted]; | bearer [redacted]')
})

test('short values are left: they would blot out ordinary words', () => {
  expect(lastWords('exit on error', ['on'])).toBe('exit on error')
})

test('one line, no control or direction characters, and the end is what is kept', () => {
  expect(lastWords('\u001B[31mred\u001B[0m\u0007\u202Etxt\n\nlast\n', [])).toBe('redtxt | last')
  expect(lastWords(`${'a'.repeat(1000)}end`, [], 10)).toBe('…aaaaaaend')
})
