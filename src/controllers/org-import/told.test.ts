import { expect, test } from 'vitest'
import { owner } from '../../../test/support/org-plan.ts'
import { renderOrg } from '../../orgs/tree.ts'
import { told, type Oddity } from './told.ts'

const inline = { source: { kind: 'inline', template: {} }, revision: '1', identity: '1' } as const
const rendered = renderOrg({ kind: 'inline', template: { workspaces: [{ name: 'A' }] } }, { importUid: 'u' })
const odd = <Code extends string>(code: Code, count: number): (Oddity & { readonly code: Code })[] =>
  Array.from({ length: count }, (_, i) => ({ code, path: `N${i}`, message: 'odd' }))
const warningsOf = (...more: readonly Oddity[]) =>
  told({ org: owner(), source: inline, rendered: { ...rendered, warnings: odd('UnknownKey', 11) } }, more).warnings ??
  []

test('what is lost is told before the rest, by kind', () => {
  const codes = warningsOf(...odd('FileSkipped', 2), ...odd('HeldByOthers', 1), ...odd('ChannelSkipped', 2)).map(
    ({ code }) => code,
  )
  expect(codes.filter((code, i) => code !== codes[i - 1])).toEqual([
    'ChannelSkipped',
    'FileSkipped',
    'UnknownKey',
    'HeldByOthers',
  ])
  expect(codes).toHaveLength(16)
})

test('of more than a status holds, the last says how many of which kind are left out', () => {
  const warnings = warningsOf(...odd('IgnoredCanvas', 40), ...odd('ChannelSkipped', 8))
  expect(warnings).toHaveLength(50)
  expect(warnings.slice(0, 8).every(({ code }) => code === 'ChannelSkipped')).toBe(true)
  expect(warnings.at(-1)).toEqual({ code: 'More', message: 'and 10 more: 10 IgnoredCanvas' })
  expect(warningsOf(...odd('IgnoredCanvas', 39)).map(({ code }) => code)).not.toContain('More')
})
