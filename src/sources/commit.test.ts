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
const read = (id: string, path = '') =>
  [...filesOf(objects, id, path, sourceLimits)].map(([name, bytes]) => `${name}=${Buffer.from(bytes).toString()}`)
const file = put('blob', 'x')
const absent = 'f'.repeat(40)

it('gives the files of a commit, whatever says that they can be run', () => {
  const inner = tree(['100755', 'run.sh', file])
  const top = tree(['100644', 'org.yaml', file], ['40000', 'teams', inner])
  expect(read(top)).toEqual(['org.yaml=x', 'teams/run.sh=x'])
  expect(read(top, 'teams')).toEqual(['run.sh=x'])
  expect(() => read(top, 'org.yaml')).toThrow('the commit has no folder "org.yaml"')
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
])('refuses what a server sent %s', (_what, act, why) => {
  expect(act).toThrow(why)
})
