import { expect, it } from 'vitest'
import { nodePath, ownedName } from './names.ts'

const uid = '0f5c9a52-0d0b-4c1e-9c2e-0a2f4f1f9d10'

it.each([
  ['Design Director', /^design-director-[0-9a-f]{8}$/],
  ['A11y + SEO Auditor', /^a11y-seo-auditor-[0-9a-f]{8}$/],
  ['  Café / Bar (Zürich)', /^cafe-bar-zurich-[0-9a-f]{8}$/],
  ['设计总监', /^agent-[0-9a-f]{8}$/],
  ['-', /^agent-[0-9a-f]{8}$/],
  [`${'x'.repeat(53)} y`, /^x{53}-[0-9a-f]{8}$/],
])('makes a DNS label of %j', (name, label) => {
  expect(ownedName(uid, name, name)).toMatch(label)
  expect(ownedName(uid, name, name).length).toBeLessThanOrEqual(63)
})

it('is the same for the same import and path, and another for another', () => {
  const name = ownedName(uid, 'Lead/Writer', 'Writer')
  expect(ownedName(uid, 'Lead/Writer', 'Writer')).toBe(name)
  expect(ownedName(uid, 'Other/Writer', 'Writer')).not.toBe(name)
  expect(ownedName(uid.replace('0', '1'), 'Lead/Writer', 'Writer')).not.toBe(name)
})

it('tells a slash in a name from one between names', () => {
  expect(nodePath(nodePath(undefined, 'A'), 'B/C~D')).toBe('A/B~1C~0D')
})
