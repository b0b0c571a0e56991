import { describe, expect, it } from 'vitest'
import { FileTree } from './file-tree.ts'
import { OrgError } from './org-error.ts'

const tree = (...paths: string[]) => new FileTree(new Map(paths.map((path) => [path, path])))

it('knows what is below a folder, and not what only begins alike', () => {
  const files = tree('a.md', 'a/x', 'a/b/y', 'a-b/z', 'b/x')
  expect(files.below('a')).toEqual(['a/b/y', 'a/x'])
  expect(files.below('a/b')).toEqual(['a/b/y'])
  expect(files.below('c')).toEqual([])
  expect(files.text('b/x')).toBe('b/x')
})

it.each([
  ['a NUL', ['a\0b'], 'a control character'],
  ['a line feed', ['a\nb'], 'a control character'],
  ['a backslash', ['a\\..\\b'], 'or a backslash'],
  ['capitals that tell two apart', ['Team/a.md', 'team/a.md'], 'it and "Team/a.md" are one name to some'],
  ['two ways to write one letter', ['caf\u00e9', 'cafe\u0301'], 'are one name to some'],
])('leaves out %s, and says why', (_what, paths, text) => {
  const files = tree(...paths)
  const last = paths.at(-1) ?? ''
  expect(files.text(last)).toBeUndefined()
  expect(files.why(last)).toContain(text)
  expect(files.skipped).toEqual([[last, expect.stringContaining(text)]])
})

it('knows why what was left out, and what would be below it, is not there', () => {
  const files = new FileTree(new Map([['a', '']]), new Map(), new Map([['lib', 'it is a submodule']]))
  expect(files.why('lib')).toBe('it is a submodule')
  expect(files.why('lib/a/b')).toBe('of "lib", it is a submodule')
  expect(files.why('libs')).toBeUndefined()
  expect(files.why('')).toBeUndefined()
})

describe('refuses', () => {
  it.each([
    ['a way out', ['../x'], 'is no path of a file'],
    ['an absolute path', ['/etc/passwd'], 'is no path of a file'],
    ['a path that is not worked out', ['a//b'], 'is no path of a file'],
    ['a dot', ['./a'], 'is no path of a file'],
    ['nothing', [''], 'is no path of a file'],
    ['a path without end', ['x/'.repeat(1000)], '…" is no path'],
    ['a file that is a folder', ['a/b/c', 'a'], '"a" is both a file and a folder'],
    ['the folder of other repositories', ['.external/git.example/x'], 'is kept for other repositories'],
  ])('%s', (_what, paths, text) => {
    expect(() => tree(...paths)).toThrow(OrgError)
    expect(() => tree(...paths)).toThrow(text)
  })

  it('files without end', () => {
    expect(() => tree(...Array.from({ length: 20_001 }, (_, i) => `f${i}`))).toThrow('20001 files, more than 20000')
  })
})
