import { describe, expect, it } from 'vitest'
import { expand } from './expand.ts'
import { FileTree } from './file-tree.ts'
import { OrgError } from './org-error.ts'

const read = (files: Record<string, string>) => expand(new FileTree(new Map(Object.entries(files))), 'org.yaml')
const value = (files: Record<string, string>) => read(files).value

/** The error of reading these files; a test fails where there is none. */
function refusal(files: Record<string, string>): OrgError {
  try {
    read(files)
  } catch (error) {
    if (error instanceof OrgError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('!include', () => {
  it('stands wherever a value may: list item, whole list, flow list, merge key', () => {
    expect(
      value({
        'org.yaml':
          'a: [!include x.yaml]\nb:\n  - !include x.yaml\nc: !include list.yaml\nd:\n  <<: !include x.yaml\n  own: 1\n',
        'x.yaml': 'name: X\n',
        'list.yaml': '- 1\n- 2\n',
      }),
    ).toEqual({ a: [{ name: 'X' }], b: [{ name: 'X' }], c: [1, 2], d: { name: 'X', own: 1 } })
  })

  it('is seen from the folder of the file that includes', () => {
    expect(
      value({
        'org.yaml': 'a: !include teams/dev.yaml',
        'teams/dev.yaml': '- !include ../roles/lead.yaml\n- !include /roles/own.yaml\n- !include ..odd.yaml',
        'roles/lead.yaml': 'lead',
        'teams/roles/own.yaml': 'own',
        'teams/..odd.yaml': 'odd',
      }),
    ).toEqual({ a: ['lead', 'own', 'odd'] })
  })

  it('takes the same file twice side by side, and anchors of one name in two files', () => {
    expect(value({ 'org.yaml': '- &a 1\n- !include x.yaml\n- !include x.yaml\n- *a', 'x.yaml': '[&a 2, *a]' })).toEqual(
      [1, [2, 2], [2, 2], 1],
    )
  })

  it('passes sixteen files inside one another and refuses the seventeenth', () => {
    const chain = (length: number) => {
      const files: Record<string, string> = { 'org.yaml': 'a: !include 1.yaml', [`${length}.yaml`]: 'end' }
      for (let i = 1; i < length; i++) files[`${i}.yaml`] = `!include ${i + 1}.yaml`
      return files
    }
    expect(value(chain(16))).toEqual({ a: 'end' })
    expect(refusal(chain(17))).toMatchObject({ code: 'DepthExceeded', place: { file: '16.yaml', line: 1 } })
  })

  it.each([
    {
      what: 'a missing file',
      yaml: 'a:\n  - !include gone.yaml',
      code: 'IncludeMissing',
      at: [2, 5],
      text: '"gone.yaml" is not in the source',
    },
    {
      what: 'no file at all',
      yaml: 'a: !include',
      code: 'IncludeMissing',
      at: [1, 12],
      text: '!include names no file',
    },
    {
      what: 'a way out',
      yaml: 'a: !include ../x.yaml',
      code: 'IncludeEscape',
      at: [1, 4],
      text: 'leaves the template',
    },
    { what: 'a map', yaml: 'a: !include {path: x}', code: 'InvalidField', at: [1, 4], text: '!include takes a path' },
    { what: 'itself', yaml: 'a: !include org.yaml', code: 'IncludeCycle', at: [1, 4], text: 'includes itself' },
  ])('refuses $what', ({ yaml, code, at, text }) => {
    const error = refusal({ 'org.yaml': yaml })
    expect(error).toMatchObject({ code, place: { file: 'org.yaml', line: at[0] } })
    expect(error.message).toContain(text)
  })

  it('says through which includes a fault was met', () => {
    const error = refusal({
      'org.yaml': 'workspaces:\n  - !include teams/a.yaml',
      'teams/a.yaml': 'name: A\nchildren:\n  - !include b.yaml',
      'teams/b.yaml': 'name: "B',
    })
    expect(error.code).toBe('SyntaxError')
    expect(error.message).toMatch(
      /^teams\/b\.yaml:1:\d+: .+ \(included from teams\/a\.yaml:3:14, from org\.yaml:2:14\)$/,
    )
  })

  it('counts what it writes out: fifteen files that include the next one three times are too much', () => {
    const files: Record<string, string> = { '20.yaml': 'end' }
    files['org.yaml'] = '[!include 5.yaml, !include 5.yaml]'
    for (let i = 5; i < 20; i++)
      files[`${i}.yaml`] = Array(3)
        .fill(`- !include ${i + 1}.yaml`)
        .join('\n')
    expect(refusal(files).code).toBe('TooLarge')
  })

  it('counts them all: files that include the next one twice are soon too many', () => {
    const files: Record<string, string> = { 'org.yaml': '!include 1.yaml', '15.yaml': '{}' }
    for (let i = 1; i < 15; i++) files[`${i}.yaml`] = `[!include ${i + 1}.yaml, !include ${i + 1}.yaml]`
    expect(refusal(files).message).toMatch(/more than 10000 includes .*included from/)
  })

  it('leaves out an element whose file is empty, and says so', () => {
    const { value: list, warnings } = read({ 'org.yaml': '- 1\n- !include x.yaml\n- 3', 'x.yaml': '# nothing' })
    expect(list).toEqual([1, 3])
    expect(warnings).toEqual([{ code: 'EmptyElement', path: 'org.yaml:2:12', message: expect.any(String) }])
  })
})

describe('YAML', () => {
  it.each([
    { what: 'a key twice', yaml: 'a: 1\nb: 2\na: 3', at: [3, 1], text: 'the key "a" stands here twice' },
    { what: 'an open quote', yaml: 'a: "x', at: [1, 6], text: '"' },
    { what: 'a list as key', yaml: '? [a]\n: b', at: [1, 3], text: 'a key must be a plain word' },
    { what: 'a merge of a text', yaml: 'a: { <<: b }', at: [1, 4], text: '<< takes a map, or a list of maps' },
    { what: 'a list of pairs', yaml: 'a: !!pairs [b: 1]', at: [1, 12], text: 'not a plain list' },
    { what: 'an unknown alias', yaml: 'a: *b', at: [1, 4], text: 'nothing above is anchored as &b' },
    { what: 'what contains itself', yaml: 'a: &x\n  b: *x', at: [2, 6], text: 'nothing above is anchored as &x' },
    { what: 'an unknown tag', yaml: 'a: !remote\n  repo: x', at: [2, 3], text: 'unknown tag "!remote"' },
    { what: 'a NUL', yaml: 'a: 1\nb: x\0y', at: [2, 5], text: 'the control character U+0000' },
    { what: 'an escape', yaml: 'a: \x1b[1m', at: [1, 4], text: 'the control character U+001B' },
    { what: 'a lone carriage return', yaml: 'a: 1\rb: 2', at: [1, 5], text: 'a carriage return without a line feed' },
    { what: 'half a character', yaml: 'a: \ud83d', at: [1, 4], text: 'half a character (U+D83D)' },
    { what: 'bytes', yaml: 'a: !!binary aGk=', at: [1, 13], text: 'neither text, number nor true or false' },
  ])('refuses $what with line and column', ({ yaml, at, text }) => {
    const error = refusal({ 'org.yaml': yaml })
    expect(error.place).toMatchObject({ file: 'org.yaml', line: at[0], column: at[1] })
    expect(error.message).toContain(text)
  })

  it('is read to the end of its first document', () => {
    const { value: first, warnings } = read({ 'org.yaml': 'a: 1\n---\nb: 2' })
    expect(first).toEqual({ a: 1 })
    expect(warnings.map(({ code }) => code)).toEqual(['ExtraDocuments'])
  })

  it('lets a map say more than what it merges, and the first of several merged ones', () => {
    const yaml = 'x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {b: 0, <<: [*x, *y]}\nw: {<<: [*x, *y]}'
    expect(value({ 'org.yaml': 'a: { <<: !include x.yaml, b: 1 }', 'x.yaml': '# nothing' })).toEqual({ a: { b: 1 } })
    expect(value({ 'org.yaml': yaml })).toMatchObject({ z: { a: 1, b: 0, c: 2 }, w: { a: 1, b: 1, c: 2 } })
  })

  it('knows where everything stands, what an alias or a merge key has written too', () => {
    const { placeOf } = read({
      'org.yaml': 'a: &x\n  b: [1]\nc: *x\nd: { <<: *x, e: 2 }\nf: !include g.yaml',
      'g.yaml': 'h: 3',
    })
    const place = (...path: (string | number)[]) => {
      const { file, line, column, includedFrom = [] } = placeOf(path) ?? {}
      return [`${file}:${line}:${column}`, ...includedFrom].join(' from ')
    }
    expect(place('c', 'b', 0)).toBe('org.yaml:2:7')
    expect(place('d', 'b', 0)).toBe('org.yaml:2:7')
    expect(place('d', 'e')).toBe('org.yaml:4:17')
    expect(place('f', 'h')).toBe('g.yaml:1:4 from org.yaml:5:13')
    expect(place('a', 'gone', 'b')).toBe('org.yaml:2:3')
    expect(placeOf(['gone'])).toBeUndefined()
  })

  it('warns of a plugin opt-out without quotes, which is a tag', () => {
    const { value: read1, warnings } = read({ 'org.yaml': 'plugins:\n  - a\n  - !b\n' })
    expect(read1).toEqual({ plugins: ['a'] })
    expect(warnings).toEqual([
      {
        code: 'UnquotedOptOut',
        path: expect.stringMatching(/^org\.yaml:3:/),
        message: expect.stringContaining('write "!b"'),
      },
    ])
  })

  it('takes a null for not given', () => {
    expect(value({ 'org.yaml': 'a:\nb: ~\nc: 1' })).toEqual({ c: 1 })
  })

  it('does not let aliases grow without end', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
    for (let i = 1; i < 9; i++)
      lines.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(', ')}]`,
      )
    expect(refusal({ 'org.yaml': lines.join('\n') }).code).toBe('TooLarge')
  })

  it('does not let one long text behind an alias grow without end', () => {
    const yaml = `long: &x "${'x'.repeat(1_000_000)}"\nall: [${Array(40).fill('*x').join(', ')}]`
    expect(refusal({ 'org.yaml': yaml })).toMatchObject({ code: 'TooLarge', place: { line: 2 } })
  })

  it('has an end to its lines, and to all of them', () => {
    const line = refusal({ 'org.yaml': `a: 1\nb: ${'x'.repeat(10_000_000)}\n` })
    expect(line.message).toContain('more than 4194304 characters of YAML')
    expect(refusal({ 'org.yaml': `a: 1\nb: ${'x'.repeat(3_000_000)}\n` })).toMatchObject({
      code: 'TooLarge',
      message: 'org.yaml:2:1: a line of more than 1048576 characters',
    })
  })

  it('stops at the first fault, and where there is no end of words', () => {
    expect(refusal({ 'org.yaml': ']'.repeat(1_000_000) })).toMatchObject({ code: 'SyntaxError', place: { line: 1 } })
    expect(refusal({ 'org.yaml': 'a:\n'.concat('- a\n'.repeat(200_000)) })).toMatchObject({
      code: 'TooLarge',
      message: expect.stringContaining('more than 600000 words and signs'),
    })
  })

  it('takes line ends of Windows', () => {
    expect(value({ 'org.yaml': 'a: 1\r\nb: |\r\n  x\r\n  y\r\n' })).toEqual({ a: 1, b: 'x\ny\n' })
  })

  it('does not fall over endless nesting', () => {
    expect(refusal({ 'org.yaml': '['.repeat(20_000) }).code).toMatch(/TooLarge|SyntaxError/)
    expect(refusal({ 'org.yaml': `${'[ '.repeat(300)}1${' ]'.repeat(300)}` }).code).toBe('TooLarge')
  })

  it('keeps a key that JavaScript would trip over', () => {
    const read1 = value({ 'org.yaml': '__proto__: {a: 1}\nconstructor: 2' })
    expect(Object.entries(read1 as object)).toEqual([
      ['__proto__', { a: 1 }],
      ['constructor', 2],
    ])
    expect(Object.getPrototypeOf(read1)).toBe(Object.prototype)
  })
})
