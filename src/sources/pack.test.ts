import { createHash } from 'node:crypto'
import { deflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { sourceLimits } from './limits.ts'
import { readPack } from './pack.ts'

/** Numbers as packs write them, seven bits a byte, lowest first. */
const number = (value: number): Buffer => {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push((rest % 128) + (rest >= 128 ? 128 : 0))
    if (rest < 128) return Buffer.from(bytes)
  }
}
function object(type: number, content: Buffer, base: Uint8Array = Buffer.alloc(0), size = content.length): Buffer {
  const rest = Math.floor(size / 16)
  const first = Buffer.from([(rest > 0 ? 128 : 0) | (type << 4) | (size % 16)])
  return Buffer.concat([first, rest > 0 ? number(rest) : Buffer.alloc(0), base, deflateSync(content)])
}
const blob = (content: Buffer) => object(3, content)
const idOf = (content: Buffer) => createHash('sha1').update(`blob ${content.length}\0`).update(content).digest()
/** Copies the first byte of its base, and adds what is given. */
const orders = (of: number, makes: number, add: Uint8Array = Buffer.alloc(0)) =>
  Buffer.concat([
    number(of),
    number(makes),
    Buffer.from([0x90, 1]),
    ...(add.length > 0 ? [Buffer.from([add.length]), add] : []),
  ])
/** A delta whose base is named. */
const delta = (of: number, makes: number, base: Uint8Array = Buffer.alloc(20, 1), add?: Buffer) =>
  object(7, orders(of, makes, add), base)
/** A delta whose base stands `back` bytes before it. */
function backDelta(of: number, makes: number, back: number, add?: Buffer): Buffer {
  const bytes = [back & 127]
  for (let rest = back >> 7; rest > 0; rest = (rest - 1) >> 7) bytes.unshift(128 | ((rest - 1) & 127))
  return object(6, orders(of, makes, add), Buffer.from(bytes))
}

function packOf(objects: readonly Buffer[], count = objects.length): Buffer {
  const header = Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1')
  header.writeUInt32BE(count, 8)
  const body = Buffer.concat([header, ...objects])
  return Buffer.concat([body, createHash('sha1').update(body).digest()])
}
const mebibyte = 1024 * 1024
const limits = { ...sourceLimits, objects: 50, unpackedBytes: 10 * mebibyte, ratio: 1e9 }
const read = async (pack: Buffer, within = limits) => await readPack(pack, within, AbortSignal.timeout(30_000))
const texts = async (...objects: Buffer[]) =>
  [...(await read(packOf(objects)))].map(([id, { type, content }]) => `${id.slice(0, 6)} ${type} ${content.toString()}`)

describe('a pack', () => {
  it('gives its objects by their ids', async () => {
    const large = Buffer.alloc(300_000, 'xyz')
    const found = await read(packOf([blob(Buffer.from('hello')), blob(Buffer.alloc(0)), blob(large)]))
    expect([...found.keys()]).toEqual(
      [Buffer.from('hello'), Buffer.alloc(0), large].map((each) => idOf(each).toString('hex')),
    )
    expect([...found.values()].at(-1)?.content.equals(large)).toBe(true)
  })

  it('gives what its deltas make, in whatever order they stand', async () => {
    const [hello, hi] = [Buffer.from('hello'), Buffer.from('hi')]
    const first = blob(hello)
    expect(await texts(first, backDelta(5, 2, first.length, Buffer.from('i')))).toEqual([
      'b6fc4c blob hello',
      '32f95c blob hi',
    ])
    expect(
      await texts(delta(2, 3, idOf(hi), Buffer.from('oy')), delta(5, 2, idOf(hello), Buffer.from('i')), first),
    ).toEqual(['b6fc4c blob hello', '32f95c blob hi', expect.stringMatching(/^[0-9a-f]{6} blob hoy$/)])
  })

  it('may have a long chain of deltas', async () => {
    const chain = [blob(Buffer.from('x0'))]
    for (let i = 1; i < 10_000; i++) chain.push(backDelta(2, 2, chain.at(-1)?.length ?? 0, Buffer.from([i % 256])))
    const found = await read(packOf(chain), { ...limits, objects: 10_000 })
    // One for each second byte.
    expect(found.size).toBe(256)
  })

  it.each([
    [
      'of too many objects',
      packOf(Array.from({ length: 51 }, () => blob(Buffer.from('a')))),
      /SourceTooLarge|50 objects/,
    ],
    ['that says it has many', packOf([blob(Buffer.from('a'))], 2 ** 31), /50 objects/],
    ['that inflates to much in one object', packOf([blob(Buffer.alloc(11 * mebibyte))]), /10485760 bytes/],
    [
      'that inflates to much in all',
      packOf([blob(Buffer.alloc(6 * mebibyte)), blob(Buffer.alloc(6 * mebibyte))]),
      /10485760 bytes/,
    ],
    [
      'whose deltas make much',
      packOf([blob(Buffer.from('a')), delta(1, 6 * mebibyte), delta(1, 6 * mebibyte)]),
      /10485760 bytes/,
    ],
    [
      'whose objects are longer than they say',
      packOf([object(3, Buffer.alloc(mebibyte), undefined, 10)]),
      /another size/,
    ],
    ['whose objects are shorter than they say', packOf([object(3, Buffer.alloc(5), undefined, 10)]), /another size/],
    ['of unknown types', packOf([object(5, Buffer.from('a'))]), /type 5/],
    ['with fewer objects than it says', packOf([blob(Buffer.from('a'))], 2), /cannot be read/],
    ['with more objects than it says', packOf([blob(Buffer.from('a')), blob(Buffer.from('b'))], 1), /goes on/],
    ['with a delta of itself', packOf([backDelta(5, 1, 0)]), /a delta has no base/],
    ['with a delta of what is before it', packOf([backDelta(5, 1, 20)]), /a delta has no base/],
    ['with a delta of what is far away', packOf([backDelta(5, 1, 1e9)]), /cannot be read/],
    ['with a delta of nothing', packOf([blob(Buffer.from('a')), delta(1, 1)]), /a delta has no base/],
    [
      'with a delta of another base',
      packOf([blob(Buffer.from('ab')), delta(1, 1, idOf(Buffer.from('ab')))]),
      /another base/,
    ],
    [
      'with a delta that makes less',
      packOf([blob(Buffer.from('a')), delta(1, 2, idOf(Buffer.from('a')))]),
      /makes less/,
    ],
    [
      'with a delta that makes more',
      packOf([blob(Buffer.from('a')), delta(1, 1, idOf(Buffer.from('a')), Buffer.from('b'))]),
      /makes more/,
    ],
    [
      'with a delta that copies what is not there',
      packOf([blob(Buffer.from('')), delta(0, 1, idOf(Buffer.from('')))]),
      /its base has not/,
    ],
    [
      'with a delta of an order that is none',
      packOf([blob(Buffer.from('a')), object(7, Buffer.from([1, 1, 0]), idOf(Buffer.from('a')))]),
      /an order that is none/,
    ],
    [
      'with a delta that adds more than it has',
      packOf([blob(Buffer.from('a')), object(7, Buffer.from([1, 5, 5, 65]), idOf(Buffer.from('a')))]),
      /ends too early/,
    ],
    ['with half a delta', packOf([object(7, Buffer.from([1]), Buffer.alloc(20, 1))]), /ends too early/],
    ['that is none', Buffer.from('hello, this is not a pack at all'), /no header/],
  ])('is refused %s', async (_, pack, why) => {
    await expect(read(pack)).rejects.toThrow(why)
  })

  it('is refused when it inflates out of proportion', async () => {
    const pack = packOf([blob(Buffer.alloc(8 * mebibyte))])
    await expect(read(pack, { ...limits, ratio: 100 })).rejects.toThrow('100 times its size')
  })
})
