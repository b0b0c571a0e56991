import { describe, expect, it } from 'vitest'
import type { Sources } from './file-tree.ts'
import { OrgError } from './org-error.ts'
import { externalsNeeded, type OrgSource } from './source.ts'
import { renderOrg } from './tree.ts'

const commit = 'a1b2c3d4e5f60718293a4b5c6d7e8f9001122334'
const folder = `.external/git.example/org/teams/@${commit}`
const include = (path: string, repo = 'https://git.example/org/teams', ref = commit) =>
  `!external { repo: "${repo}", ref: "${ref}", path: "${path}" }`
const source = (files: Record<string, string>, externals: Record<string, Record<string, string>> = {}): OrgSource => ({
  kind: 'files',
  files: new Map(Object.entries(files)),
  entry: 'org.yaml',
  externals: new Map(
    Object.entries(externals).map(([at, texts]): [string, Sources] => [at, new Map(Object.entries(texts))]),
  ),
})
const render = (of: OrgSource) => renderOrg(of, { importUid: 'uid' })

const org = { 'org.yaml': `workspaces:\n  - name: Lead\n    children:\n      - ${include('dev/team.yaml')}\n` }
const teams = {
  'dev/team.yaml': 'name: Dev\nfiles_dir: roles/dev\nchildren:\n  - !include ../roles/qa.yaml',
  'roles/qa.yaml': 'name: QA\nsystem_prompt: test',
  'roles/dev/system-prompt.md': 'build',
}

describe('a template that refers to another repository', () => {
  it('says what it needs, and says nothing more once it is there', () => {
    expect(externalsNeeded(source(org))).toEqual([
      { url: 'https://git.example/org/teams', ref: { kind: 'commit', name: commit }, folder, askedAt: 'org.yaml:4:19' },
    ])
    expect(externalsNeeded(source(org, { [folder]: teams }))).toEqual([])
    expect(externalsNeeded({ kind: 'inline', template: {} })).toEqual([])
  })

  it('is not read without it', () => {
    expect(() => render(source(org))).toThrow(expect.objectContaining({ code: 'ExternalMissing' }))
    expect(() => render(source(org))).toThrow(
      `org.yaml:4:19: https://git.example/org/teams at ${commit} was not brought`,
    )
  })

  it('has what stands there in its tree: includes and role folders are of that repository', () => {
    const { nodes, warnings } = render(
      source({ ...org, 'roles/dev/system-prompt.md': 'not this' }, { [folder]: teams }),
    )
    expect(nodes.map(({ path, files }) => [path, [...files]])).toEqual([
      ['Lead', []],
      ['Lead/Dev', [['system-prompt.md', 'build']]],
      ['Lead/Dev/QA', [['system-prompt.md', 'test']]],
    ])
    expect(warnings).toEqual([])
  })

  it('finds what that one needs in turn, four deep at most', () => {
    const next = (i: number) => ({ 'a.yaml': `- name: N${i}\n- name: M\n` })
    const chain = (i: number) => `.external/git.example/org/r${i}/@${commit}`
    const files = { 'org.yaml': `workspaces: ${include('a.yaml', 'https://git.example/org/r0')}` }
    const there: Record<string, Record<string, string>> = {}
    for (let i = 0; i < 4; i++) {
      expect(externalsNeeded(source(files, there)).map((each) => each.folder)).toEqual([chain(i)])
      there[chain(i)] = { 'a.yaml': include('a.yaml', `https://git.example/org/r${i + 1}`) }
    }
    there[chain(3)] = next(3)
    expect(render(source(files, there)).nodes.map(({ path }) => path)).toEqual(['N3', 'M'])
    there[chain(3)] = { 'a.yaml': include('a.yaml', 'https://git.example/org/r4') }
    there[chain(4)] = next(4)
    expect(() => render(source(files, there))).toThrow('more than 4 repositories inside one another')
  })

  it.each([
    ['a way out of that repository', { 'dev/team.yaml': '!include ../../../../x.yaml' }, '"../../../../x.yaml" leaves'],
    ['a role folder outside of it', { 'dev/team.yaml': 'name: A\nfiles_dir: ../x' }, '"../x" is no folder inside'],
    ['a file that it has not', { 'x.yaml': '' }, `"${folder}/dev/team.yaml" is not in the source`],
    ['itself', { 'dev/team.yaml': '- !include team.yaml' }, 'includes itself'],
  ])('refuses %s', (_what, there, text) => {
    const attempt = () => render(source(org, { [folder]: there }))
    expect(attempt).toThrow(OrgError)
    expect(attempt).toThrow(text)
  })
})

it.each([
  ['a ref that leaves', include('a.yaml', 'https://git.example/o/r', 'a/../b'), 'takes a tag or a whole commit id'],
  ['a ref that is an option', include('a.yaml', 'https://git.example/o/r', '--x'), 'takes a tag or a whole commit id'],
  ['another protocol', include('a.yaml', 'git://git.example/o/r'), 'needs a whole address'],
  ['a file', include('a.yaml', 'file:///etc'), 'needs a whole address'],
  ['a user', include('a.yaml', 'https://me@git.example/o/r'), 'needs a whole address'],
  ['a port that is none', include('a.yaml', 'https://git.example:x/o/r'), 'needs a whole address'],
  ['dots', include('a.yaml', 'https://git.example/o/../r'), 'needs a whole address'],
  ['no host', include('a.yaml', 'o/r'), 'let SOURCE_DEFAULT_HOST of the operator say where'],
  [
    'a name that is no repository',
    '!external { url: "https://a", repo: "o r", ref: x, path: a }',
    'needs a whole address',
  ],
  ['a path out of it', include('../a.yaml'), '"../a.yaml" is no path inside'],
  ['an absolute path', include('/a.yaml'), '"/a.yaml" is no path inside'],
  ['no path', '!external { repo: o/r, ref: x }', 'takes repo, ref and path'],
  ['a tag that is a number', '!external { repo: "https://git.example/o/r", ref: 1.10, path: a.yaml }', 'in quotes'],
  ['a text', '!external a.yaml', 'takes repo, ref and path'],
  ['another key', '!external { repo: o/r, branch: x }', 'has no "branch"'],
])('refuses %s', (_what, text, message) => {
  const attempt = () => externalsNeeded(source({ 'org.yaml': `workspaces: ${text}` }))
  expect(attempt).toThrow(expect.objectContaining({ code: 'InvalidField' }))
  expect(attempt).toThrow(message)
})

it('refers to thirty-two repositories at most', () => {
  const text = (count: number) =>
    `workspaces:\n${Array.from({ length: count }, (_, i) => `  - ${include('a.yaml', `https://git.example/o/r${i}`)}`).join('\n')}`
  expect(externalsNeeded(source({ 'org.yaml': text(32) }))).toHaveLength(32)
  expect(() => externalsNeeded(source({ 'org.yaml': text(33) }))).toThrow('more than 32 other repositories')
})

it('refers to no more of them by those that it refers to', () => {
  const list = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => `- ${include('a.yaml', `https://git.example/o/r${from + i}`)}`).join('\n')
  const template = (count: number) =>
    source(
      { 'org.yaml': `workspaces:\n${list(0, 20)}\n` },
      Object.fromEntries(
        Array.from({ length: 20 }, (_, i) => [
          `.external/git.example/o/r${i}/@${commit}`,
          { 'a.yaml': i === 0 ? list(20, count) : `name: N${i}` },
        ]),
      ),
    )
  expect(externalsNeeded(template(12))).toHaveLength(12)
  expect(() => externalsNeeded(template(13))).toThrow('more than 32 other repositories')
})

it('takes the host apart from the repository, and a name that ends in .git', () => {
  const text = `!external { url: "https://git.example/", repo: org/teams.git, ref: ${commit}, path: a.yaml }`
  const needed = externalsNeeded(source({ 'org.yaml': `workspaces: [${text}, ${include('b.yaml')}]` }))
  // As it is written it is asked for, since some servers know it by that alone; and it is one repository.
  expect(needed).toEqual([expect.objectContaining({ url: 'https://git.example/org/teams.git', folder })])
})

it('keeps the files of repositories apart, of which one is called as a folder of the other would be', () => {
  const [outer, inner] = ['.external/git.example/org/@teams', '.external/git.example/org/teams/@dev']
  const files = {
    'org.yaml': `workspaces: [${include('dev/a.yaml', 'https://git.example/org', 'teams')}, ${include('a.yaml', 'https://git.example/org/teams', 'dev')}]`,
  }
  expect(externalsNeeded(source(files)).map((each) => each.folder)).toEqual([outer, inner])
  const there = { [outer]: { 'dev/a.yaml': 'name: Outer' }, [inner]: { 'a.yaml': 'name: Inner' } }
  expect(render(source(files, there)).nodes.map(({ path }) => path)).toEqual(['Outer', 'Inner'])
})

it('takes a tag, and a port', () => {
  const text = include('a.yaml', 'https://git.example:8443/o/r', 'release/v1.0.0')
  expect(externalsNeeded(source({ 'org.yaml': `workspaces: ${text}` }))).toEqual([
    {
      url: 'https://git.example:8443/o/r',
      ref: { kind: 'tag', name: 'release/v1.0.0' },
      folder: '.external/git.example:8443/o/r/@release%2Fv1.0.0',
      askedAt: 'org.yaml:1:23',
    },
  ])
})

it('finds a repository without an address beside the one that names it', () => {
  const beside = `!external { repo: org/teams, ref: ${commit}, path: a.yaml }`
  const own = {
    ...source({ 'org.yaml': `workspaces: [${beside}]` }),
    hosts: { home: 'https://git.example' },
  } as OrgSource
  expect(externalsNeeded(own).map((each) => each.folder)).toEqual([folder])
  const first = `.external/other.example/o/r/@${commit}`
  const nested = source(
    { 'org.yaml': `workspaces: ${include('x.yaml', 'https://other.example/o/r')}` },
    { [first]: { 'x.yaml': `[${beside}]` } },
  )
  expect(externalsNeeded(nested).map(({ url }) => url)).toEqual(['https://other.example/org/teams'])
})

it('finds each repository without an address on the standard host, whatever names it, and the others where they are', () => {
  const beside = `!external { repo: org/teams, ref: v1.0.0, path: a.yaml }`
  const needed = (files: Record<string, string>, there: Record<string, Record<string, string>>, home?: string) => {
    const hosts = { standard: 'https://std.example:8443', home }
    return externalsNeeded({ ...source(files, there), hosts } as OrgSource).map(({ url }) => url)
  }
  expect(needed({ 'org.yaml': `workspaces: [${beside}]` }, {})).toEqual(['https://std.example:8443/org/teams'])
  expect(needed({ 'org.yaml': `workspaces: [${beside}]` }, {}, 'https://git.example')).toEqual([
    'https://std.example:8443/org/teams',
  ])
  const first = `.external/other.example/o/r/@${commit}`
  const org = { 'org.yaml': `workspaces: ${include('x.yaml', 'https://other.example/o/r')}` }
  expect(needed(org, {})).toEqual(['https://other.example/o/r'])
  expect(needed(org, { [first]: { 'x.yaml': `[${beside}]` } })).toEqual(['https://std.example:8443/org/teams'])
})
