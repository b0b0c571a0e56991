/** Deltas of a Git pack: how to make one object from another. Format: gitformat-pack(5). */
import { SourceError } from './source.ts'

export const broken = (why: string): never => {
  throw new SourceError('SourceInvalid', `the server sent a pack that cannot be read: ${why}`)
}

/** Reads a delta from its beginning. */
class Cursor {
  readonly #of: Buffer
  at = 0

  constructor(of: Buffer) {
    this.#of = of
  }

  get more(): boolean {
    return this.at < this.#of.length
  }

  byte(): number {
    return this.more ? this.#of.readUInt8(this.at++) : broken('a delta ends too early')
  }

  /** Seven bits a byte, lowest first. */
  number(): number {
    let value = 0
    for (let unit = 1; unit <= 2 ** 42; unit *= 128) {
      const byte = this.byte()
      value += (byte & 0x7f) * unit
      if (!(byte & 0x80)) return value
    }
    return broken('a delta has a number without end')
  }

  /** Those of the bytes, lowest first, whose bit is set. */
  sparse(bits: number, bytes: number): number {
    let value = 0
    for (let i = 0; i < bytes; i++) if (bits & (1 << i)) value += this.byte() * 256 ** i
    return value
  }

  take(length: number): Buffer {
    if (this.at + length > this.#of.length) broken('a delta ends too early')
    return this.#of.subarray(this.at, (this.at += length))
  }
}

/** Bytes that a delta says it makes: the second number in it. */
export function madeBy(delta: Buffer): number {
  const cursor = new Cursor(delta)
  cursor.number()
  return cursor.number()
}

/** Whoever calls has judged `madeBy`: that much is reserved, and never more is written. */
export function applyDelta(base: Buffer, delta: Buffer): Buffer {
  const cursor = new Cursor(delta)
  if (cursor.number() !== base.length) broken('a delta is of another base')
  const result = Buffer.allocUnsafeSlow(cursor.number())
  let at = 0
  const put = (part: Buffer) => {
    if (at + part.length > result.length) broken('a delta makes more than it says')
    at += part.copy(result, at)
  }
  while (cursor.more) {
    const order = cursor.byte()
    if (order === 0) broken('a delta has an order that is none')
    if (order & 0x80) {
      const from = cursor.sparse(order, 4)
      const length = cursor.sparse(order >> 4, 3) || 0x10000
      if (from + length > base.length) broken('a delta copies what its base has not')
      put(base.subarray(from, from + length))
    } else put(cursor.take(order))
  }
  return at === result.length ? result : broken('a delta makes less than it says')
}
