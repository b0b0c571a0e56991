import { describe, expect, it } from 'vitest'
import type { OrgImportSpec } from '../../api/org-import.ts'
import { applied, owner, planFor, tree } from '../../../test/support/org-plan.ts'
import { gateOf } from './gate.ts'
import { plannedStatus } from './plan-text.ts'

const nodes = (...names: string[]) => names.map((name) => ({ name }))
const there = tree(...nodes('A', 'B', 'C', 'D', 'E'))
const kind = (spec: Partial<OrgImportSpec>, names: string[], size = there.length) =>
  gateOf(owner(spec), planFor(nodes(...names), there.slice(0, size), { prune: spec.prune ?? 'Orphan' }), size).kind

describe('a plan', () => {
  it('goes ahead, unless somebody wants to see it first', () => {
    expect(kind({}, ['A', 'Z'])).toBe('open')
    expect(kind({ dryRun: true }, ['A', 'Z'])).toBe('dryRun')
    expect(kind({ approval: 'Manual' }, ['A', 'Z'])).toBe('approval')
    expect(kind({ approval: 'Manual' }, ['A', 'B', 'C', 'D', 'E'])).toBe('open')
  })

  it.each([
    { what: 'half of it', spec: {}, left: ['A', 'B', 'C'], size: 5, gate: 'open' },
    { what: 'more than half', spec: {}, left: ['A', 'B'], size: 5, gate: 'deletes' },
    { what: 'all of a small one', spec: {}, left: [], size: 3, gate: 'open' },
    { what: 'more than maxDeletes', spec: { maxDeletes: 1 }, left: ['A', 'B', 'C'], size: 5, gate: 'deletes' },
    { what: 'as much as maxDeletes', spec: { maxDeletes: 5 }, left: [], size: 5, gate: 'open' },
  ])('that deletes $what: $gate', ({ spec, left, size, gate }) => {
    expect(kind({ prune: 'Delete', ...spec }, left, size)).toBe(gate)
    expect(kind({ prune: 'Orphan', ...spec }, left, size)).toBe('open')
  })
})

describe('an approval', () => {
  const whole = planFor(nodes('A', 'X', 'Y'), there)
  const spec = { approval: 'Manual', approvedPlan: whole.digest } as const

  it('opens its plan and no other', () => {
    expect(gateOf(owner(spec), whole, 5).kind).toBe('open')
    expect(gateOf(owner(spec), planFor(nodes('A', 'X', 'Z'), there), 5).kind).toBe('approval')
  })

  it('opens what is left of its plan, as long as the status can prove it', () => {
    const x = whole.actions.find(({ child }) => child.path === 'X')?.child
    if (x === undefined) throw new Error('there is an X')
    const half = [...there, applied(x)]
    const begun = planFor(nodes('A', 'X', 'Y'), half)
    const shown = { observedGeneration: 1, plan: plannedStatus(whole, true) }
    expect(gateOf(owner(spec, shown), begun, 6).kind).toBe('open')
    expect(gateOf(owner(spec), begun, 6).kind).toBe('approval')
    const forged = { ...shown, plan: { ...shown.plan, steps: begun.steps.join('') } }
    expect(gateOf(owner(spec, forged), begun, 6).kind).toBe('approval')
    const more = planFor(nodes('A', 'X', 'Y', 'Z'), half)
    expect(gateOf(owner(spec, shown), more, 6).kind).toBe('approval')
  })
})
