import { createHash } from 'node:crypto'
import { deflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { sourceLimits } from './limits.ts'
import { weighPack } from './pack.ts'

/** Numbers as packs write them, seven bits a byte, lowest first. */
const number = (value: number): Buffer => {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push((rest % 128) + (rest >= 128 ? 128 : 0))
    if (rest < 128) return Buffer.from(bytes)
  }
}
function object(type: number, content: Buffer, base = Buffer.alloc(0), size = content.length): Buffer {
  const rest = Math.floor(size / 16)
  const first = Buffer.from([(rest > 0 ? 128 : 0) | (type << 4) | (size % 16)])
  return Buffer.concat([first, rest > 0 ? number(rest) : Buffer.alloc(0), base, deflateSync(content)])
}
const blob = (content: Buffer) => object(3, content)
/** Says that it makes `makes` bytes of a base of `of`. */
const delta = (of: number, makes: number) =>
  object(7, Buffer.concat([number(of), number(makes), Buffer.from([0x90, 1])]), Buffer.alloc(20, 1))

function packOf(objects: readonly Buffer[], count = objects.length): Buffer {
  const header = Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1')
  header.writeUInt32BE(count, 8)
  const body = Buffer.concat([header, ...objects])
  return Buffer.concat([body, createHash('sha1').update(body).digest()])
}
const mebibyte = 1024 * 1024
const limits = { ...sourceLimits, objects: 50, unpackedBytes: 10 * mebibyte, ratio: 1e9 }
const weigh = async (pack: Buffer, within = limits) => await weighPack(pack, within)

describe('a pack', () => {
  it('passes within the limits', async () => {
    await weigh(
      packOf([blob(Buffer.from('hello')), blob(Buffer.alloc(0)), blob(Buffer.alloc(100_000, 'xyz')), delta(5, 5)]),
    )
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
    ['that is none', Buffer.from('hello, this is not a pack at all'), /no header/],
  ])('is refused %s', async (_, pack, why) => {
    await expect(weigh(pack)).rejects.toThrow(why)
  })

  it('is refused when it inflates out of proportion', async () => {
    const pack = packOf([blob(Buffer.alloc(8 * mebibyte))])
    await expect(weigh(pack, { ...limits, ratio: 100 })).rejects.toThrow('100 times its size')
  })
})
