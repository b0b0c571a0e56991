import { describe, expect, it } from 'vitest'
import type { OrgImportSpec } from '../../api/org-import.ts'
import type { Workspace } from '../../api/workspace.ts'
import { applied, owner, planFor, tree } from '../../../test/support/org-plan.ts'
import { gateOf } from './gate.ts'
import { plannedStatus } from './plan-text.ts'

const nodes = (...names: string[]) => names.map((name) => ({ name }))
const there = tree(...nodes('A', 'B', 'C', 'D', 'E'))
const kind = (spec: Partial<OrgImportSpec>, names: string[], size = there.length) =>
  gateOf(owner(spec), planFor(nodes(...names), there.slice(0, size), { prune: spec.prune ?? 'Orphan' })).kind

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

it('counts who is there to stay: who is being deleted makes no share smaller', () => {
  const leaving = (there: readonly Workspace[], count: number) =>
    there.map((live, i) => (i < count ? dying(live) : live))
  const dying = (live: Workspace) => ({ ...live, metadata: { ...live.metadata, deletionTimestamp: 'now' } })
  const gate = (there: readonly Workspace[], ...left: string[]) =>
    gateOf(owner({ prune: 'Delete' }), planFor(nodes(...left), there, { prune: 'Delete' }))
  expect(gate(leaving(there, 2), 'C')).toMatchObject({ kind: 'open' })
  expect(gate(leaving(tree(...nodes('A', 'B', 'C', 'D', 'E', 'F', 'G', 'H')), 4), 'E')).toMatchObject({
    kind: 'deletes',
    message: expect.stringContaining('deletes 3 of 4 workspaces') as string,
  })
  // Nor does who is only about to come, or to come again, make it larger.
  expect(gate(tree(...nodes('A', 'B', 'C', 'D')), 'D', 'X', 'Y', 'Z')).toMatchObject({ kind: 'deletes' })
  expect(gate(leaving(tree(...nodes('A', 'B', 'C', 'D', 'E', 'F')), 2), 'A', 'B', 'C')).toMatchObject({
    kind: 'deletes',
  })
})

describe('an approval', () => {
  const whole = planFor(nodes('A', 'X', 'Y'), there)
  const spec = { approval: 'Manual', approvedPlan: whole.digest } as const

  it('opens its plan and no other', () => {
    expect(gateOf(owner(spec), whole).kind).toBe('open')
    expect(gateOf(owner(spec), planFor(nodes('A', 'X', 'Z'), there)).kind).toBe('approval')
  })

  it('is good for once: the same plan in the same world, later, is another one', () => {
    const spent = whole.digest
    const again = planFor(nodes('A', 'X', 'Y'), there, { spent })
    expect(again.steps).toEqual(whole.steps)
    const status = { observedGeneration: 1, plan: plannedStatus(planFor(nodes('A'), there, { spent }), false) }
    expect(status.plan.spent).toBe(spent)
    expect(gateOf(owner(spec, status), again)).toMatchObject({
      kind: 'approval',
      message: expect.stringContaining(`set spec.approvedPlan: ${again.digest}, for the approved plan`) as string,
    })
    expect(gateOf(owner({ ...spec, approvedPlan: again.digest }, status), again).kind).toBe('open')
  })

  it('opens what is left of its plan, as long as the status can prove it', () => {
    const x = whole.actions.find(({ child }) => child.path === 'X')?.child
    if (x === undefined) throw new Error('there is an X')
    const half = [...there, applied(x)]
    const begun = planFor(nodes('A', 'X', 'Y'), half)
    const shown = { observedGeneration: 1, plan: plannedStatus(whole, true) }
    expect(gateOf(owner(spec, shown), begun).kind).toBe('open')
    expect(gateOf(owner(spec), begun).kind).toBe('approval')
    const forged = { ...shown, plan: { ...shown.plan, steps: begun.steps.join('') } }
    expect(gateOf(owner(spec, forged), begun).kind).toBe('approval')
    const more = planFor(nodes('A', 'X', 'Y', 'Z'), half)
    expect(gateOf(owner(spec, shown), more).kind).toBe('approval')
  })
})
