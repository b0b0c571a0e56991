/**
 * Weighs a Git pack before anything unpacks it. The library that reads packs inflates whatever they say: a few kilobytes
 * can stand for gigabytes, by compression or by deltas that copy one another. Format: gitformat-pack(5).
 */
import { setImmediate as breathe } from 'node:timers/promises'
import { inflateSync } from 'node:zlib'
import { reasonOf } from '../errors.ts'
import { checkSize } from './archive.ts'
import { tooLarge } from './intake.ts'
import type { SourceLimits } from './limits.ts'
import { SourceError } from './source.ts'

const headerBytes = 12
const checksumBytes = 20
const offsetDelta = 6
const nameDelta = 7
/** A stall of the event loop is at most what this many bytes take. */
const breathBytes = 4 * 1024 * 1024

/** Throws a SourceError when the pack is broken, or holds more than the limits. */
export async function weighPack(pack: Buffer, limits: SourceLimits): Promise<void> {
  if (pack.length < headerBytes + checksumBytes || pack.toString('latin1', 0, 4) !== 'PACK') broken('it has no header')
  const objects = pack.readUInt32BE(8)
  if (objects > limits.objects) tooLarge(`the repository has more than ${limits.objects} objects at this commit`)
  const end = pack.length - checksumBytes
  let at = headerBytes
  let [bytes, breath] = [0, 0]
  for (let i = 0; i < objects; i++) {
    const { type, size, start } = readHeader(pack, at, end)
    // A delta is small, but what it makes may not be.
    const { content, length } = inflate(pack.subarray(start, end), size, limits)
    const made = type === offsetDelta || type === nameDelta ? madeBy(content) : size
    bytes += Math.max(made, size)
    checkSize(bytes, pack.length, limits)
    at = start + length
    breath += size
    if (breath > breathBytes) {
      breath = 0
      await breathe()
    }
  }
  if (at !== end) broken('it goes on after its last object')
}

const broken = (why: string): never => {
  throw new SourceError('SourceInvalid', `the server sent a pack that cannot be read: ${why}`)
}

/** Type and inflated size of the object at `at`, and where its compressed bytes start. */
function readHeader(pack: Buffer, at: number, end: number): { type: number; size: number; start: number } {
  const next = () => (at < end ? pack.readUInt8(at++) : broken('it ends within an object'))
  let byte = next()
  const type = (byte >> 4) & 7
  let size = byte & 15
  for (let unit = 16; byte & 0x80; unit *= 128) {
    byte = next()
    size += (byte & 0x7f) * unit
  }
  if (type === 0 || type === 5) broken(`it has an object of type ${type}`)
  if (type === offsetDelta) while (next() & 0x80);
  if (type === nameDelta) at += checksumBytes
  return { type, size, start: at }
}

/** Inflates one object, of which the pack says only how long it will be. */
function inflate(from: Buffer, size: number, { unpackedBytes }: SourceLimits): { content: Buffer; length: number } {
  if (size > unpackedBytes) tooLarge(`it unpacks to more than ${unpackedBytes} bytes`)
  try {
    // With `info`, the engine tells how much it has read; the types do not know that.
    const { buffer, engine } = inflateSync(from, { maxOutputLength: size + 1, info: true }) as unknown as {
      buffer: Buffer
      engine: { bytesWritten: number }
    }
    if (buffer.length === size) return { content: buffer, length: engine.bytesWritten }
  } catch (error) {
    const longer = error instanceof RangeError && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE'
    if (!longer) return broken(reasonOf(error))
  }
  return broken('an object has another size than it says')
}

/** Bytes that a delta says it makes: the second number in it. */
function madeBy(delta: Buffer): number {
  let at = 0
  const number = () => {
    let value = 0
    for (let unit = 1; ; unit *= 128) {
      const byte = at < delta.length ? delta.readUInt8(at++) : broken('a delta ends in its header')
      value += (byte & 0x7f) * unit
      if (!(byte & 0x80)) return value
    }
  }
  number()
  return number()
}
