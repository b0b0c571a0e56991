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
  const { files } = await readArchive(packed, folder, within, AbortSignal.timeout(30_000))
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

describe('what is not supported in an archive is left out, and why is told', () => {
  const left: Readonly<Record<string, [readonly Given[], string, RegExp]>> = {
    'a symbolic link': [[{ name: 'l', type: 'symlink', linkname: '/etc' }], 'l', /^it is a symbolic link$/],
    'a link in a folder': [[{ name: './a/l', type: 'symlink', linkname: '../org.yaml' }], 'a/l', /symbolic link/],
    'a hard link': [[{ name: 'l', type: 'link', linkname: 'org.yaml' }], 'l', /^it is a hard link$/],
    'a device': [[{ name: 'd', type: 'character-device' }], 'd', /^it is a device$/],
    'a block device': [[{ name: 'd', type: 'block-device' }], 'd', /^it is a device$/],
    'a pipe': [[{ name: 'p', type: 'fifo' }], 'p', /^it is a pipe$/],
    'a name with a backslash': [[file('a\\..\\b')], 'a\\..\\b', /backslash/],
    'a name with a line feed': [[file('a\nb')], 'a?b', /control character/],
    'a name with a NUL': [[{ ...file('x'), pax: { path: 'a\0b' } }], 'a?b', /control character/],
    'a name that differs in case': [[file('ORG.yaml')], 'ORG.yaml', /^it differs from "org.yaml" in upper and lower/],
    'a folder that differs in case': [[file('a/b'), file('A/c'), file('A/d')], 'A', /^it differs from "a\/" in upper/],
    'too long a path': [[file('a/'.repeat(2) + 'x'.repeat(1100))], `a/a/${'x'.repeat(115)}…`, /more than 1024 bytes/],
    'too long a name': [[file('x'.repeat(300))], `${'x'.repeat(119)}…`, /more than 255 bytes/],
    'too large a file': [[file('big', 'x'.repeat(1001))], 'big', /^it has more than 1000 bytes$/],
  }
  it.each(Object.entries(left))('%s', async (_, [entries, path, why]) => {
    const packed = gzipSync(await tarOf(file('org.yaml', 'name: x'), ...entries, file('last')))
    const { files, skipped } = await readArchive(packed, '', limits, AbortSignal.timeout(30_000))
    expect([...files.keys()].filter((each) => each !== 'a/b')).toEqual(['org.yaml', 'last'])
    expect(Buffer.from(files.get('org.yaml') ?? []).toString()).toBe('name: x')
    expect([...skipped]).toEqual([[path, expect.stringMatching(why)]])
  })

  it('by its path from the folder that is read, if it is in it', async () => {
    const link = (name: string): Given => ({ name, type: 'symlink', linkname: '/etc' })
    const packed = gzipSync(await tarOf(file('orgs/org.yaml'), link('orgs/a/l'), link('l')))
    const { skipped } = await readArchive(packed, 'orgs', limits, AbortSignal.timeout(30_000))
    expect([...skipped.keys()]).toEqual(['a/l'])
  })
})

describe('an archive is refused whole', () => {
  const bad: Readonly<Record<string, [readonly Given[], RegExp]>> = {
    'with ".." in a path': [[file('a/../../etc/passwd')], /SourceInvalid: "a\/..\/..\/etc\/passwd" .* ".." part/],
    'with an absolute path': [[file('/etc/passwd')], /SourceInvalid: "\/etc\/passwd" .* absolute/],
    'with a drive': [[file('C:/x')], /absolute/],
    'with a way through a link': [
      [{ name: 'l', type: 'symlink', linkname: '/etc' }, file('l/passwd')],
      /"l\/passwd" .* file and a folder at once/,
    ],
    'with a link of a name that is there': [
      [file('a'), { name: 'a', type: 'symlink', linkname: '/etc' }],
      /"a" .* twice/,
    ],
    'with ".." in the name of a link': [[{ name: '../l', type: 'symlink', linkname: 'x' }], /".." part/],
    'with one name twice': [[file('a'), file('./a')], /".\/a" .* twice/],
    'with a file that is a folder': [[file('a'), file('a/b')], /"a\/b" .* file and a folder/],
    'with a folder that is a file, too': [[{ name: 'a', type: 'directory' }, file('a')], /"a" .* file and a folder/],
    'with a nameless file': [[file('./')], /SourceInvalid/],
    'that is too deep': [[file('1/2/3/4/5')], /"1\/2\/3\/4\/5" .* more than 4 folders/],
    'with too many folders, of which paths alone speak': [
      Array.from({ length: 8 }, (_, n) => file(`a${n}/b${n}/c${n}`)),
      /SourceTooLarge: it has more than 20 files and folders/,
    ],
    'with too many entries': [
      Array.from({ length: 21 }, (_, i) => file(`f${i}`)),
      /SourceTooLarge: .* 20 files and folders/,
    ],
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
