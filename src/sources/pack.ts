/**
 * Reads a Git pack whole, without trusting a byte of it. The Git library would do it too, but it inflates whatever a pack
 * says, follows a delta that is its own base without end, and takes a second and many megabytes for a thousand objects.
 * Format: gitformat-pack(5).
 */
import { createHash } from 'node:crypto'
import { setImmediate as breathe } from 'node:timers/promises'
import { inflateSync } from 'node:zlib'
import { reasonOf } from '../errors.ts'
import { checkSize } from './archive.ts'
import { applyDelta, broken, madeBy } from './delta.ts'
import { tooLarge } from './intake.ts'
import type { SourceLimits } from './limits.ts'

export interface GitObject {
  readonly type: 'commit' | 'tree' | 'blob' | 'tag'
  readonly content: Buffer
}
/** By their ids, in hexadecimal digits. */
export type GitObjects = ReadonlyMap<string, GitObject>

const headerBytes = 12
const idBytes = 20
const types: Readonly<Record<number, GitObject['type']>> = { 1: 'commit', 2: 'tree', 3: 'blob', 4: 'tag' }
const offsetDelta = 6
const nameDelta = 7
/** A stall of the event loop is at most what this many bytes take; each object costs as much as some kilobytes. */
const breathBytes = 4 * 1024 * 1024
const objectBytes = 8 * 1024

/** Throws a SourceError when the pack is broken, or holds more than the limits. */
export async function readPack(pack: Buffer, limits: SourceLimits, signal: AbortSignal): Promise<GitObjects> {
  signal.throwIfAborted()
  if (pack.length < headerBytes + idBytes || pack.toString('latin1', 0, 4) !== 'PACK') broken('it has no header')
  const count = pack.readUInt32BE(8)
  if (count > limits.objects) tooLarge(`the repository has more than ${limits.objects} objects at this commit`)
  const end = pack.length - idBytes
  const found = new Objects()
  let at = headerBytes
  let [bytes, breath] = [0, 0]
  for (let i = 0; i < count; i++) {
    const { type, size, start, base } = readHeader(pack, at, end)
    const { content, length } = inflate(pack.subarray(start, end), size, limits)
    // A delta is small, but what it makes may not be.
    bytes += base === undefined ? size : Math.max(size, madeBy(content))
    checkSize(bytes, pack.length, limits)
    if (base !== undefined) found.addDelta(at, base, content)
    else found.add(at, { type: types[type] ?? broken(`it has an object of type ${type}`), content })
    at = start + length
    breath += size + objectBytes
    if (breath > breathBytes) {
      breath = 0
      await breathe()
      signal.throwIfAborted()
    }
  }
  if (at !== end) broken('it goes on after its last object')
  return found.all()
}

/** What a delta is made from: an offset in the pack, or an id. */
type Base = number | string

class Objects {
  readonly #byId = new Map<string, GitObject>()
  readonly #byOffset = new Map<number, GitObject>()
  /** Deltas whose base has not come yet. One that is its own base waits for ever. */
  readonly #waiting = new Map<Base, { readonly at: number; readonly delta: Buffer }[]>()

  add(at: number, object: GitObject): void {
    // Not by recursion: chains of deltas may be long.
    for (let made = [{ at, object }]; made.length > 0;) {
      const next: typeof made = []
      for (const { at: here, object: base } of made)
        for (const { at: there, delta } of this.#keep(here, base))
          next.push({ at: there, object: { type: base.type, content: applyDelta(base.content, delta) } })
      made = next
    }
  }

  addDelta(at: number, base: Base, delta: Buffer): void {
    const known = typeof base === 'number' ? this.#byOffset.get(base) : this.#byId.get(base)
    if (known !== undefined) return this.add(at, { type: known.type, content: applyDelta(known.content, delta) })
    const others = this.#waiting.get(base)
    if (others === undefined) this.#waiting.set(base, [{ at, delta }])
    else others.push({ at, delta })
  }

  all(): GitObjects {
    return this.#waiting.size === 0 ? this.#byId : broken('a delta has no base')
  }

  /** Gives the deltas that waited for it. */
  #keep(at: number, object: GitObject) {
    const { type, content } = object
    const id = createHash('sha1').update(`${type} ${content.length}\0`).update(content).digest('hex')
    this.#byId.set(id, object)
    this.#byOffset.set(at, object)
    const waited = [at, id].flatMap((base) => this.#waiting.get(base) ?? [])
    this.#waiting.delete(at)
    this.#waiting.delete(id)
    return waited
  }
}

interface Header {
  readonly type: number
  /** Inflated. */
  readonly size: number
  /** Of the compressed bytes. */
  readonly start: number
  readonly base: Base | undefined
}

function readHeader(pack: Buffer, from: number, end: number): Header {
  let at = from
  const next = () => (at < end ? pack.readUInt8(at++) : broken('it ends within an object'))
  let byte = next()
  const type = (byte >> 4) & 7
  let size = byte & 15
  for (let unit = 16; byte & 0x80; unit *= 128) {
    byte = next()
    size += (byte & 0x7f) * unit
  }
  if (type === offsetDelta) {
    byte = next()
    let back = byte & 0x7f
    while (byte & 0x80 && back < end) {
      byte = next()
      back = (back + 1) * 128 + (byte & 0x7f)
    }
    return { type, size, start: at, base: from - back }
  }
  if (type !== nameDelta) return { type, size, start: at, base: undefined }
  at += idBytes
  return { type, size, start: at, base: pack.toString('hex', at - idBytes, Math.min(at, end)) }
}

/** Inflates one object, of which the pack says only how long it will be. */
function inflate(from: Buffer, size: number, { unpackedBytes }: SourceLimits): { content: Buffer; length: number } {
  if (size > unpackedBytes) tooLarge(`it unpacks to more than ${unpackedBytes} bytes`)
  try {
    // What comes out is a view of a chunk: it should not keep more alive than itself. With `info`, the engine tells how
    // much it has read; the types do not know that.
    const chunkSize = Math.min(Math.max(size + 1, 64), 256 * 1024)
    const options = { maxOutputLength: size + 1, chunkSize, info: true }
    const { buffer, engine } = inflateSync(from, options) as unknown as {
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
