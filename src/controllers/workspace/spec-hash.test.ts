import { expect, test } from 'vitest'
import { randomBytes } from 'node:crypto'
import {
  changedParts,
  desiredHashOf,
  hashKeyOf,
  resetAsked,
  restartAsked,
  sameWish,
  type HashedWish,
} from './spec-hash.ts'

const wish = (more: Partial<HashedWish> = {}): HashedWish => ({
  uid: 'u-1',
  content: (env) => [{ tier: 2 }, env],
  env: [
    ['A', 'open'],
    ['B', 'hunter2'],
  ],
  sealed: new Set(['B']),
  image: 'i',
  restart: undefined,
  ...more,
})
const [key, another] = [hashKeyOf(randomBytes(32)), hashKeyOf(randomBytes(32))]
const withB = (value: string) =>
  wish({
    env: [
      ['A', 'open'],
      ['B', value],
    ],
  })

const of = (content: string, image?: string, restart?: string) =>
  desiredHashOf(wish({ content: () => content, image, restart }), undefined).text

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

test('a reset is asked for once: until a launch with it is recorded, and never when it is taken away', () => {
  const withReset = (reset?: string, restart?: string) => desiredHashOf(wish({ restart, reset }), undefined).text
  expect(withReset()).toMatch(/^[0-9a-f]{32}\.[0-9a-f]{12}\.$/)
  const [none, one, two] = [withReset(), withReset('1'), withReset('2')]
  expect(changedParts(none, one)).toEqual(new Set(['reset']))
  expect(restartAsked(changedParts(none, one))).toBe(true)
  expect([sameWish(none, one), sameWish(one, two), sameWish(one, none)]).toEqual([false, false, true])
  expect(sameWish(one, withReset(undefined, 'now'))).toBe(false)
  expect(sameWish(withReset('1', 'now'), none)).toBe(true)
  expect(sameWish(withReset(undefined, 'now'), one)).toBe(false)
  expect([none, two].map((launched) => resetAsked(launched, one))).toEqual([true, true])
  // A row that was lost and made anew does not say what was done.
  expect(resetAsked(undefined, one)).toBe(false)
  expect([resetAsked(one, one), resetAsked(one, none), resetAsked(undefined, none)]).toEqual([false, false, false])
  const keyed = desiredHashOf(wish({ restart: 'now', reset: '1' }), key)
  expect(keyed.text.length).toBeLessThan(128)
  expect(keyed.recognise(desiredHashOf(wish({ restart: 'now', reset: '1' }), another).text).text).toBe(keyed.text)
})

test('with a key, a value of a Secret is in the hash, and cannot be guessed from it', () => {
  const { text } = desiredHashOf(wish(), key)
  expect(desiredHashOf(withB('hunter3'), key).text).not.toBe(text)
  // All but the values from Secrets: whoever knows that learns nothing more from the rest without the key.
  const [version, open, id, mac] = text.split('.')[0]?.split('-') ?? []
  expect(desiredHashOf(withB('hunter3'), key).text).toContain(`${version}-${open}-${id}-`)
  expect(mac).toMatch(/^[0-9a-f]{32}$/)
  expect(desiredHashOf(wish(), another).text).not.toContain(mac)
  expect(desiredHashOf(wish({ uid: 'u-2' }), key).text).not.toContain(mac)
  expect(desiredHashOf(wish({ sealed: new Set() }), key).text).toBe(
    desiredHashOf(wish({ sealed: new Set() }), another).text,
  )
  expect(text.length).toBeLessThan(128)
})

test('a hash from before there were keys stands for the same state, and for no other', () => {
  const unkeyed = desiredHashOf(wish(), undefined).text
  expect(unkeyed).toMatch(/^[0-9a-f]{32}\.[0-9a-f]{12}\.$/)
  const now = desiredHashOf(wish(), key)
  expect(now.recognise(unkeyed)).toEqual({ text: now.text, form: 'unkeyed' })
  expect(desiredHashOf(withB('hunter3'), key).recognise(unkeyed)).toEqual({ text: unkeyed, form: 'other' })
  const otherImage = desiredHashOf(wish({ image: 'j' }), key)
  expect(changedParts(otherImage.recognise(unkeyed).text, otherImage.text)).toEqual(new Set(['image']))
})

test('of a hash with another key the values from Secrets are not compared, all else is', () => {
  const before = desiredHashOf(wish(), another).text
  const now = desiredHashOf(wish(), key)
  expect(now.recognise(before)).toEqual({ text: now.text, form: 'foreign' })
  expect(desiredHashOf(withB('hunter3'), key).recognise(before).form).toBe('foreign')
  expect(desiredHashOf(wish({ content: (env) => [{ tier: 3 }, env] }), key).recognise(before).form).toBe('other')
  expect(desiredHashOf(wish(), undefined).recognise(before).form).toBe('foreign')
  expect(now.recognise('adopted').form).toBe('other')
})
