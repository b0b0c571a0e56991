import { expect, it } from 'vitest'
import { planFor, tree } from '../../../test/support/org-plan.ts'
import { planText, plannedStatus } from './plan-text.ts'

it('says each thing that would be done, and from what to what', () => {
  const there = tree({ name: 'A', tier: 1, children: [{ name: 'B' }] }, { name: 'C' })
  const after = [
    { name: 'A', tier: 2 },
    { name: 'D', children: [{ name: 'B' }] },
  ]
  const plan = planFor(after, there, { prune: 'Delete', renames: { C: 'D' } })
  const names = (text: string) => text.replaceAll(/-[0-9a-f]{8}\)/g, '-#)')
  expect(names(planText(plan)).split('\n')).toEqual([
    `plan ${plan.digest.slice(0, 8)}: update 1, rename 1, move 1`,
    `digest: ${plan.digest}`,
    '',
    expect.stringMatching(/^update +A \(a-#\) tier 1 → 2/),
    expect.stringMatching(/^rename +D \(c-#\) was C, .*displayName "C" → "D"/),
    expect.stringMatching(/^move +D\/B \(b-#\) was A\/B, .*parentRef/),
    '',
  ])
})

it('says last who is only drawn elsewhere', () => {
  const root = (x: number, ...more: object[]) => ({
    name: 'A',
    canvas: { x, y: 0 },
    children: [{ name: 'B' }, ...more],
  })
  const plan = planFor([root(50, { name: 'C' })], [...tree(root(0)), ...tree({ name: 'Z' })], { prune: 'Delete' })
  const rows = plannedStatus(plan, true).actions?.map(({ action, path }) => `${action} ${path}`)
  expect(rows).toEqual(['create A/C', 'prune Z', 'update A', 'update A/B'])
})

it('ends where a ConfigMap does, with how much is missing', () => {
  const plan = planFor([{ name: 'x'.repeat(250) }], [])
  const text = planText({ ...plan, actions: Array.from({ length: 5000 }, () => plan.actions).flat() })
  expect(Buffer.byteLength(text)).toBeLessThan(1_000_000)
  const shown = text.match(/^create /gm)?.length ?? 0
  expect(text).toContain(`\n… and ${5000 - shown} more\n`)
})

it('keeps the steps that a status can hold', () => {
  const plan = planFor([{ name: 'A' }], [])
  const steps = (count: number) =>
    plannedStatus({ ...plan, steps: Array.from({ length: count }, () => plan.steps).flat() }, true).steps
  expect(steps(12_500)?.length).toBe(200_000)
  expect(steps(12_501)).toBeUndefined()
})
