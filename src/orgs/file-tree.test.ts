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

describe('refuses', () => {
  it.each([
    ['a way out', ['../x'], 'is no path of a file'],
    ['an absolute path', ['/etc/passwd'], 'is no path of a file'],
    ['a path that is not worked out', ['a//b'], 'is no path of a file'],
    ['a dot', ['./a'], 'is no path of a file'],
    ['nothing', [''], 'is no path of a file'],
    ['a NUL', ['a\0b'], '"a\\u0000b" is no path'],
    ['a line feed', ['a\nb'], '"a\\nb" is no path'],
    ['a backslash', ['a\\..\\b'], 'is no path of a file'],
    ['a path without end', ['x/'.repeat(1000)], '…" is no path'],
    ['capitals that tell two apart', ['Team/a.md', 'team/a.md'], '"Team/a.md" and "team/a.md" are one name to some'],
    ['two ways to write one letter', ['caf\u00e9', 'cafe\u0301'], 'are one name to some'],
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
