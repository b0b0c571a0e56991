import { gzipSync } from 'node:zlib'
import { pack, type Header } from 'tar-stream'
import { describe, expect, it } from 'vitest'
import { readArchive } from './archive.ts'
import { sourceLimits } from './limits.ts'
import type { SourceError } from './source.ts'

type Given = Partial<Header> & { name: string; content?: string | Buffer }

async function tarOf(...entries: readonly Given[]): Promise<Buffer> {
  const archive = pack()
  for (const { content = '', ...header } of entries) archive.entry(header, content)
  archive.finalize()
  const chunks: Uint8Array[] = []
  for await (const chunk of archive as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return Buffer.concat(chunks)
}
const file = (name: string, content: string | Buffer = 'x'): Given => ({ name, content })
const limits = { ...sourceLimits, entries: 20, fileBytes: 1000, keptBytes: 1500, depth: 4, ratioFrom: 10_000 }

async function read(packed: Buffer, folder = '', within = limits): Promise<Record<string, string>> {
  const files = await readArchive(packed, folder, within, AbortSignal.timeout(30_000))
  return Object.fromEntries([...files].map(([path, bytes]) => [path, Buffer.from(bytes).toString()]))
}

async function refusal(packed: Buffer, folder?: string): Promise<string> {
  return await read(packed, folder).then(
    (files) => `read: ${Object.keys(files).join(', ')}`,
    (error: SourceError) => `${error.name} ${error.fault}: ${error.message}`,
  )
}

describe('an archive', () => {
  it('is read, with and without folders of its own', async () => {
    const tar = await tarOf({ name: './a/', type: 'directory' }, file('./org.yaml', 'name: x'), file('a/b.md', 'ü'))
    expect(await read(gzipSync(tar))).toEqual({ 'org.yaml': 'name: x', 'a/b.md': 'ü' })
  })

  it('is read from one of its folders on', async () => {
    const tar = gzipSync(await tarOf(file('README.md', 'big'.repeat(300)), file('orgs/x/org.yaml', 'name: x')))
    expect(await read(tar, 'orgs/x')).toEqual({ 'org.yaml': 'name: x' })
    expect(await refusal(tar, 'orgs/y')).toMatch(/SourceMissing: .*"orgs\/y"/)
  })

  it('may have long names, in the way of pax', async () => {
    const name = `${'long'.repeat(40)}/${'n'.repeat(200)}.md`
    expect(Object.keys(await read(gzipSync(await tarOf(file(name)))))).toEqual([name])
  })
})

describe('an archive is refused whole', () => {
  const bad: Readonly<Record<string, [readonly Given[], RegExp]>> = {
    'with ".." in a path': [[file('a/../../etc/passwd')], /SourceInvalid: "a\/..\/..\/etc\/passwd" .* ".." part/],
    'with an absolute path': [[file('/etc/passwd')], /SourceInvalid: "\/etc\/passwd" .* absolute/],
    'with a drive': [[file('C:/x')], /absolute/],
    'with a backslash': [[file('a\\..\\b')], /backslash/],
    'with a line feed in a name': [[file('a\nb')], /"a\?b" .* control character/],
    'with a NUL in a name': [[{ ...file('x'), pax: { path: 'a\0b' } }], /control character/],
    'with a symbolic link': [[{ name: 'l', type: 'symlink', linkname: '/etc' }], /"l" .* a symbolic link/],
    'with a hard link': [[{ name: 'l', type: 'link', linkname: 'org.yaml' }], /"l" .* a hard link/],
    'with a device': [[{ name: 'd', type: 'character-device' }], /"d" .* a device/],
    'with a block device': [[{ name: 'd', type: 'block-device' }], /"d" .* a device/],
    'with a pipe': [[{ name: 'p', type: 'fifo' }], /"p" .* a pipe/],
    'with one name twice': [[file('a'), file('./a')], /".\/a" .* twice/],
    'with names that differ in case': [[file('a/b'), file('A/c')], /"A\/c" .* lower case/],
    'with a file that is a folder': [[file('a'), file('a/b')], /"a\/b" .* file and a folder/],
    'with a folder that is a file, too': [[{ name: 'a', type: 'directory' }, file('a')], /"a" .* file and a folder/],
    'with a nameless file': [[file('./')], /SourceInvalid/],
    'with too long a path': [[file('a/'.repeat(2) + 'x'.repeat(1100))], /more than 1024 bytes/],
    'with too long a name': [[file('x'.repeat(300))], /more than 255 bytes/],
    'that is too deep': [[file('1/2/3/4/5')], /"1\/2\/3\/4\/5" .* more than 4 folders/],
    'with too many folders, of which paths alone speak': [
      Array.from({ length: 8 }, (_, n) => file(`a${n}/b${n}/c${n}`)),
      /SourceTooLarge: it has more than 20 files and folders/,
    ],
    'with too many entries': [
      Array.from({ length: 21 }, (_, i) => file(`f${i}`)),
      /SourceTooLarge: .* 20 files and folders/,
    ],
    'with too large a file': [[file('big', 'x'.repeat(1001))], /SourceTooLarge: "big" .* 1000 bytes/],
    'with too much in all': [[file('a', 'x'.repeat(900)), file('b', 'x'.repeat(900))], /SourceTooLarge: .* 1500 bytes/],
    'that is a bomb': [[file('zeros', Buffer.alloc(8 * 1024 * 1024))], /SourceTooLarge/],
  }
  it.each(Object.entries(bad))('%s', async (_, [entries, rule]) => {
    expect(await refusal(gzipSync(await tarOf(...entries)))).toMatch(rule)
  })

  it('that unpacks to very much, though nothing of it would be kept', async () => {
    const bomb = gzipSync(await tarOf(file('zeros', Buffer.alloc(8 * 1024 * 1024)), file('orgs/org.yaml')))
    expect(await refusal(bomb, 'orgs')).toMatch(/SourceTooLarge: it unpacks to more than 100 times its size/)
    const many = { ...limits, ratio: Infinity, unpackedBytes: 4 * 1024 * 1024 }
    await expect(read(bomb, 'orgs', many)).rejects.toThrow('unpacks to more than 4194304 bytes')
  })

  it('that is larger than may come', async () => {
    await expect(read(gzipSync(await tarOf(file('a'))), '', { ...limits, packedBytes: 10 })).rejects.toThrow('10 bytes')
  })

  it('that is no archive, cut off, or damaged', async () => {
    const whole = gzipSync(await tarOf(file('a', 'x'.repeat(900))))
    const damaged = Buffer.from(whole)
    damaged.fill(7, 30, 40)
    const notTar = gzipSync(Buffer.from('y'.repeat(2000)))
    for (const each of [
      Buffer.from('hello'),
      Buffer.alloc(0),
      whole.subarray(0, 60),
      damaged,
      notTar,
      await tarOf(file('a')),
    ])
      expect(await refusal(each)).toMatch(/^SourceError SourceInvalid: it is not a whole tar.gz archive/)
  })

  it('with a size that cannot be read', async () => {
    const tar = await tarOf(file('a', 'x'))
    // Neither digits, nor one of the two marks of a binary number.
    tar[124] = 0x9f
    tar.write(
      `${tar
        .subarray(0, 512)
        .reduce((sum, byte, at) => sum + (at < 148 || at > 155 ? byte : 32), 0)
        .toString(8)}\0 `,
      148,
    )
    expect(await refusal(gzipSync(tar))).toMatch(/SourceInvalid: "a" is refused: its size cannot be read/)
  })

  it('when time is over', async () => {
    const tar = gzipSync(await tarOf(file('a')))
    await expect(readArchive(tar, '', limits, AbortSignal.abort())).rejects.toThrow('in time')
  })
})
