import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { commitOf, filesOf } from './commit.ts'
import { sourceLimits } from './limits.ts'
import type { GitObject } from './pack.ts'

const objects = new Map<string, GitObject>()
function put(type: GitObject['type'], content: string | Buffer): string {
  const bytes = Buffer.from(content)
  const id = createHash('sha1').update(`${type} ${bytes.length}\0`).update(bytes).digest('hex')
  objects.set(id, { type, content: bytes })
  return id
}
const tree = (...entries: readonly (readonly [mode: string, name: string, id: string])[]) =>
  put(
    'tree',
    Buffer.concat(entries.flatMap(([mode, name, id]) => [Buffer.from(`${mode} ${name}\0`), Buffer.from(id, 'hex')])),
  )
const read = async (id: string, path = '') =>
  [...(await filesOf(objects, id, path, sourceLimits)).files].map(
    ([name, bytes]) => `${name}=${Buffer.from(bytes).toString()}`,
  )
const file = put('blob', 'x')
const absent = 'f'.repeat(40)

it('gives the files of a commit, whatever says that they can be run', async () => {
  const inner = tree(['100755', 'run.sh', file])
  const top = tree(['100644', 'org.yaml', file], ['40000', 'teams', inner])
  expect(await read(top)).toEqual(['org.yaml=x', 'teams/run.sh=x'])
  expect(await read(top, 'teams')).toEqual(['run.sh=x'])
  await expect(read(top, 'org.yaml')).rejects.toThrow('the commit has no folder "org.yaml"')
})

it('leaves out what is no file, what cannot be read and what is too large, and says why', async () => {
  const inner = tree(['100644', 'x', file])
  const big = put('blob', 'x'.repeat(sourceLimits.fileBytes + 1))
  const top = tree(
    ['120000', 'CLAUDE.md', file],
    ['100644', 'a\\b', file],
    ['100644', 'big', big],
    ['40000', 'docs', inner],
    ['40000', 'Docs', inner],
    ['100644', 'org.yaml', file],
    ['160000', 'vendor', absent],
    ['40000', 'with\nline', inner],
  )
  const { files, skipped } = await filesOf(objects, top, '', sourceLimits)
  expect([...files.keys()]).toEqual(['docs/x', 'org.yaml'])
  expect(Object.fromEntries(skipped)).toEqual({
    'CLAUDE.md': 'it is a symbolic link',
    'a\\b': expect.stringContaining('backslash') as string,
    big: 'it has more than 4194304 bytes',
    Docs: 'it differs from "docs/" in upper and lower case alone',
    vendor: 'it is a submodule',
    'with?line': expect.stringContaining('control character') as string,
  })
  await expect(read(top, 'vendor/x')).rejects.toThrow('the commit has no folder "vendor/x": "vendor" is a submodule')
})

it('finds the commit behind a tag, however many tags are between', () => {
  const commit = put('commit', `tree ${tree()}\nauthor A\n\nx`)
  let tag = commit
  for (let i = 0; i < 20_000; i++) tag = put('tag', `object ${tag}\ntype tag\ntag t${i}\n`)
  expect(commitOf(objects, tag).id).toBe(commit)
})

it.each([
  ['without the commit', () => commitOf(objects, absent), 'did not send the commit'],
  ['with a file for the commit', () => commitOf(objects, file), 'did not send the commit'],
  ['with a tag of nothing', () => commitOf(objects, put('tag', `object ${absent}\n`)), 'did not send the commit'],
  ['with a tag that says nothing', () => commitOf(objects, put('tag', 'tree\n')), 'cannot be read'],
  ['with a commit of no tree', () => commitOf(objects, put('commit', `object ${absent}\n`)), 'cannot be read'],
  ['without a folder', () => read(tree(['40000', 'a', absent])), 'did not send the tree'],
  ['without a file', () => read(tree(['100644', 'a', absent])), 'did not send the blob'],
  ['with a file for a folder', () => read(tree(['40000', 'a', file])), 'did not send the tree'],
  ['with half a folder', () => read(put('tree', '100644 a\0xx')), 'a folder that cannot be read'],
  ['with a folder that is none', () => read(put('tree', 'hello')), 'a folder that cannot be read'],
  ['with a name that Git keeps for itself', () => read(tree(['100644', '.GIT', file])), '".GIT" is refused'],
  ['with a file without a name', () => read(tree(['100644', '', file])), 'may have such a name'],
  ['with a kind that is none', () => read(tree(['060000', 'a', file])), '"a" is refused: it is neither'],
  [
    'with a commit of megabytes',
    () => commitOf(objects, put('commit', `tree ${file}\n${'\n'.repeat(2 ** 20)}`)),
    'more than 1048576 bytes',
  ],
])('refuses what a server sent %s', async (_what, act, why) => {
  await expect((async () => await act())()).rejects.toThrow(why)
})

it.each(['', 'missing'])(
  'gives up a folder of very many at the limit, before it has made more (path "%s")',
  async (path) => {
    const id = Buffer.from(file, 'hex')
    const wide = Buffer.concat(Array.from({ length: 200_000 }, (_, n) => [Buffer.from(`100644 f${n}\0`), id]).flat())
    objects.set('wide', { type: 'tree', content: wide })
    let texts = 0
    const text = wide.toString.bind(wide)
    wide.toString = (...given) => {
      texts++
      return text(...given)
    }
    await expect(filesOf(objects, 'wide', path, { ...sourceLimits, entries: 1000 })).rejects.toThrow(
      'a folder of the commit has more than 1000 entries',
    )
    // Mode, name and id of each.
    expect(texts).toBe(3 * 1001)
  },
)

it('lets others have the event loop between folders', async () => {
  let inner = tree(['100644', 'a', file])
  for (let depth = 0; depth < 20; depth++) inner = tree(['40000', 'b', inner])
  let turns = 0
  const count = () => {
    turns++
    timer = setImmediate(count)
  }
  let timer = setImmediate(count)
  await read(inner)
  clearImmediate(timer)
  expect(turns).toBeGreaterThan(15)
})
