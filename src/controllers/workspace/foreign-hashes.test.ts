import { expect, test } from 'vitest'
import { ForeignHashes } from './foreign-hashes.ts'

test('a hash of another key stands for what was wanted when it was first met', () => {
  const hashes = new ForeignHashes()
  expect(hashes.contentOf('u', 'old', 'a')).toBe('a')
  expect(hashes.contentOf('u', 'old', 'b')).toBe('a')
  expect(hashes.contentOf('v', 'old', 'b')).toBe('b')
  expect(hashes.contentOf('u', 'older', 'b')).toBe('b')
  expect(hashes.size).toBe(2)
})

test('it is forgotten with its object', () => {
  const hashes = new ForeignHashes()
  for (let i = 0; i < 1000; i++) {
    hashes.contentOf(`u${i}`, 'old', 'a')
    hashes.forget(`u${i}`)
  }
  expect(hashes.size).toBe(0)
})
