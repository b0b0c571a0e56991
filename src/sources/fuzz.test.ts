/** Archives and packs with wrong bytes in them: whatever they say, the answer is files or a SourceError. */
import { createHash } from 'node:crypto'
import { deflateSync, gunzipSync, gzipSync } from 'node:zlib'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { tarGzOf } from '../../test/support/archives.ts'
import { readArchive } from './archive.ts'
import { commitOf, filesOf } from './commit.ts'
import { sourceLimits } from './limits.ts'
import { readPack } from './pack.ts'
import { SourceError } from './source.ts'

const signal = AbortSignal.timeout(120_000)
const numRuns = 1000

async function holds(read: () => Promise<unknown>) {
  try {
    await read()
  } catch (error) {
    if (!(error instanceof SourceError)) throw error
    expect(error.message).not.toMatch(/[\r\n]/)
  }
}

/** Bytes that are changed, and what to. */
const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 })
function changed(bytes: Buffer, at: readonly (readonly [number, number])[]): Buffer {
  const copy = Buffer.from(bytes)
  for (const [place, value] of at) copy[place % copy.length] = value
  return copy
}

const tar = gunzipSync(
  await tarGzOf([
    { name: 'org.yaml', content: 'name: X' },
    { name: `${'long/'.repeat(30)}name`, content: 'x'.repeat(700) },
    { name: 'teams', type: 'directory' },
    { name: 'pax', pax: { path: 'teams/a.yaml' }, content: 'name: A' },
  ]),
)
/** So that what is behind it is reached. */
function withChecksums(bytes: Buffer): Buffer {
  for (let at = 0; at + 512 <= bytes.length; at += 512) {
    if (bytes.toString('latin1', at + 257, at + 262) !== 'ustar') continue
    bytes.fill(' ', at + 148, at + 156)
    const sum = bytes.subarray(at, at + 512).reduce((all, each) => all + each, 0)
    bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148, 'latin1')
  }
  return bytes
}

it('holds for any archive', async () => {
  await fc.assert(
    fc.asyncProperty(changes, fc.boolean(), async (at, mended) => {
      const bytes = changed(tar, at)
      await holds(() => readArchive(gzipSync(mended ? withChecksums(bytes) : bytes), '', sourceLimits, signal))
    }),
    { numRuns },
  )
})

const object = (type: number, content: Buffer, base = '') =>
  Buffer.concat([Buffer.from([(type << 4) | content.length]), Buffer.from(base, 'hex'), deflateSync(content)])
const idOf = (type: string, content: Buffer) =>
  createHash('sha1').update(`${type} ${content.length}\0`).update(content).digest('hex')
const small = Buffer.from('name: X')
const parts = [
  object(3, small),
  object(7, Buffer.from([7, 8, 0x90, 7, 1, 0x59]), idOf('blob', small)),
  object(6, Buffer.from([7, 3, 0x91, 4, 3]), '24'),
  object(2, Buffer.from('100644 a\0')),
]

it('holds for any pack', async () => {
  const body = Buffer.concat([Buffer.from('PACK\0\0\0\x02\0\0\0\x04', 'latin1'), ...parts, Buffer.alloc(20)])
  await fc.assert(
    fc.asyncProperty(changes, fc.constantFrom(...parts.keys()), fc.nat(255), async (at, which, value) => {
      const bytes = changed(body, at)
      // The first byte of an object says what it is.
      const start = 12 + parts.slice(0, which).reduce((sum, part) => sum + part.length, 0)
      bytes[start] = value
      await holds(async () => {
        const objects = await readPack(bytes, sourceLimits, signal)
        for (const id of objects.keys()) {
          await holds(async () => commitOf(objects, id))
          await holds(async () => void (await filesOf(objects, id, '', sourceLimits)))
        }
      })
    }),
    { numRuns },
  )
})
