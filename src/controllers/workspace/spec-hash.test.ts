import { expect, test } from 'vitest'
import { changedParts, sameWish, specHashOf } from './spec-hash.ts'

const of = (content: string, image?: string, restart?: string) => specHashOf({ content, image, restart })

test('each part differs for its own reason', () => {
  expect(changedParts(of('a', 'i', 'r'), of('a', 'i', 'r'))).toEqual(new Set())
  expect(changedParts(of('a', 'i', 'r'), of('b', 'i', 'r'))).toEqual(new Set(['content']))
  expect(changedParts(of('a', 'i', 'r'), of('a', 'j', 'r'))).toEqual(new Set(['image']))
  expect(changedParts(of('a', 'i', 'r'), of('b', 'j', 's'))).toEqual(new Set(['content', 'image', 'restart']))
})

test('a hash of another form differs in its content', () => {
  expect(changedParts('d41d8cd98f00b204', of('a', 'i'))).toContain('content')
})

test('a restart that is no longer asked for is no wish', () => {
  expect(sameWish(of('a', 'i', 'r'), of('a', 'i'))).toBe(true)
  expect(sameWish(of('a', 'i'), of('a', 'i', 'r'))).toBe(false)
  expect(sameWish(of('a', 'i', 'r'), of('a', 'i', 's'))).toBe(false)
  expect(sameWish(of('a', 'i', 'r'), of('b', 'i'))).toBe(false)
})
