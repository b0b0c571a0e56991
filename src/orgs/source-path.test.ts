import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OrgError } from './org-error.ts'
import { decodePath, encodePath, resolvePath } from './source-path.ts'

describe('paths as ConfigMap keys', () => {
  it.each([
    ['org.yaml', 'org.yaml'],
    ['design-director/system-prompt.md', 'design-director__system-prompt.md'],
    ['known_issues.md', 'known_issues.md'],
    ['a__b', 'a_x5F_b'],
    ['a_/b', 'a_x5F__b'],
    ['a_x41', 'a_x5Fx41'],
    ['notes/a b.md', 'notes__a_x20b.md'],
    ['..x.yaml', '_x2E.x.yaml'],
    ['é', '_xC3_xA9'],
  ])('%j is %j', (path, key) => {
    expect(encodePath(path)).toBe(key)
    expect(decodePath(key)).toBe(path)
  })

  it('come back as they went, in keys that Kubernetes takes', () => {
    const part = fc.string({
      unit: fc.constantFrom('a', 'x', '4', '1', '_', '.', '-', ' ', 'é', '😀'),
      minLength: 1,
      maxLength: 8,
    })
    const path = fc
      .array(
        part.filter((text) => !/^\.{1,2}$/.test(text)),
        { minLength: 1, maxLength: 4 },
      )
      .map((parts) => parts.join('/'))
    fc.assert(
      fc.property(path, (given) => {
        const key = encodePath(given)
        expect(key).toMatch(/^(?!\.\.)[-._a-zA-Z0-9]+$/)
        expect(key).not.toBe('.')
        expect(decodePath(key)).toBe(given)
      }),
      { numRuns: 2000 },
    )
  })

  it.each(['..__org.yaml', '__etc__passwd', 'a__..__b', 'a__', '.', '_xFF', 'a_x00b'])('refuses %j', (key) => {
    expect(() => decodePath(key)).toThrow(OrgError)
  })

  it('refuses a path that is too long to be a key', () => {
    expect(() => encodePath('a'.repeat(254))).toThrow('too long for a ConfigMap key')
  })
})

it.each([
  ['teams', 'dev.yaml', 'teams/dev.yaml'],
  ['teams', '../roles/x.yaml', 'roles/x.yaml'],
  ['teams', './a/./b', 'teams/a/b'],
  ['teams', '/etc/x', 'teams/etc/x'],
  ['', '..x.yaml', '..x.yaml'],
  ['', '../x.yaml', undefined],
  ['teams', '../../x.yaml', undefined],
])('from %j, %j is %j', (base, target, path) => {
  expect(resolvePath(base, target)).toBe(path)
})
