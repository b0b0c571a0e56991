import { expect, test } from 'vitest'
import { memoryText } from './memory-text.ts'

test.each([
  ['OPENAI_API_KEY=abc123', 'OPENAI_API_KEY=[redacted]'],
  ['my_token: "hunter2", and more', 'my_token: "[redacted]", and more'],
  ['Authorization: Bearer abcdef123456', 'Authorization: [redacted]'],
  ['use sk-1234567890abc here', 'use [redacted] here'],
  [`blob Ab1${'x'.repeat(40)}==`, 'blob [redacted]'],
  [
    'see src/controllers/workspace/reconcile/and/some/more/files.ts',
    'see src/controllers/workspace/reconcile/and/some/more/files.ts',
  ],
  ['Die Straße heißt „Weg“: 東京', 'Die Straße heißt „Weg“: 東京'],
])('%s', (text, kept) => {
  expect(memoryText(text)).toBe(kept)
})

test('cut to 100,000 bytes, never within a character', () => {
  const cut = memoryText(`ab${'€'.repeat(40_000)}`)
  expect(Buffer.byteLength(cut)).toBe(2 + 3 * 33_332)
  expect(cut.endsWith('€')).toBe(true)
})

test.each([
  ['url: token=abc', 'url: token=[redacted]'],
  ['a=b password=c', 'a=b password=[redacted]'],
  ['TOKEN_SECRET_ID: x', 'TOKEN_SECRET_ID: [redacted]'],
])('%s: what comes before a secret hides none of it', (text, kept) => {
  expect(memoryText(text)).toBe(kept)
})

/** All that a node may have. By the square of its length, each would take a second: more than a test may take. */
test('a text that means harm is read as fast as any other', () => {
  for (const piece of ['TOKEN', 'token=', 'TOKEN ', 'Bearer ', 'a-', 'A1b', 'sk-']) {
    const text = piece.repeat(100_000 / piece.length)
    for (let i = 0; i < 64; i++) expect(memoryText(text).length).toBeLessThanOrEqual(100_000)
  }
})
