/** What an import asks programs that wait to make of it. */
import { expect, it } from 'vitest'
import { importUid, nothing, owner, planFor } from '../../../test/support/org-plan.ts'
import { minutes } from '../../duration.ts'
import type { ConditionDraft } from '../../kube/reconciler.ts'
import { renderOrg } from '../../orgs/tree.ts'
import { describeObstacle, describePlanned, describeSuspended } from './describe.ts'
import { faulty } from './source-read.ts'

const learned = {
  org: owner(),
  source: { source: { kind: 'inline', template: {} }, revision: '1', identity: '1' },
  rendered: renderOrg({ kind: 'inline', template: { workspaces: [] } }, { importUid }),
  environment: nothing,
} as const
const readyOf = ({ status }: { readonly status: { readonly conditions: readonly ConditionDraft[] } }) =>
  status.conditions.find(({ type }) => type === 'Ready')

it('has done with a dry run what was asked, and stalls on a plan that waits for a person', () => {
  const planned = (kind: 'dryRun' | 'approval' | 'deletes') =>
    describePlanned(learned, planFor([], []), { kind, message: 'the plan' }, undefined)
  expect(planned('dryRun').outcome).toEqual({ kind: 'settled' })
  expect(readyOf(planned('dryRun'))).toMatchObject({ status: 'True', reason: 'DryRun' })
  expect(planned('approval').outcome).toEqual({ kind: 'blocked', reason: 'PlanBlocked', message: 'the plan' })
  expect(planned('deletes').outcome).toEqual({ kind: 'blocked', reason: 'TooManyDeletes', message: 'the plan' })
})

it('has done what was asked when it keeps its hands off', () => {
  const suspended = describeSuspended(owner({ suspend: true }))
  expect(suspended.outcome).toEqual({ kind: 'settled' })
  expect(readyOf(suspended)).toMatchObject({ status: 'True', reason: 'Suspended' })
})

it('stalls on a source that a person must put right, which is looked at again where it is outside the cluster', () => {
  const missing = faulty({ fault: 'SourceMissing', message: 'no such repository' }, 'the repository')
  expect(describeObstacle({ org: owner() }, missing).outcome).toEqual({
    kind: 'blocked',
    reason: 'SourceMissing',
    message: 'the repository: no such repository',
    retryAfter: minutes(1),
  })
  const away = faulty({ fault: 'SourceUnreachable', message: 'no answer' }, 'the repository')
  expect(describeObstacle({ org: owner() }, away).outcome).toMatchObject({
    kind: 'again',
    sentence: 'the repository: no answer',
  })
})

it('tells what is odd about a template that is refused, in place of what was odd about the one before', () => {
  const before = { code: 'UnknownKey', message: 'of the one before' }
  const org = owner({}, { warnings: [before], source: { revision: '0' } } as never)
  const refusal = { condition: 'TemplateParsed', reason: 'InvalidField', message: 'no', waits: false } as const
  const { source } = learned
  const warningsOf = (obstacle: Parameters<typeof describeObstacle>[1]) =>
    describeObstacle({ org, source }, obstacle).status.warnings
  const odd = { code: 'IgnoredCanvas', path: 'Lead', message: 'below' } as const
  expect(warningsOf({ ...refusal, warnings: [odd, { ...odd, path: '' }] })).toEqual([
    odd,
    { code: 'IgnoredCanvas', message: 'below' },
  ])
  expect(warningsOf({ ...refusal, warnings: [] })).toEqual([])
  expect(warningsOf(refusal)).toEqual([before])
})
