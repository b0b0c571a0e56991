import { expect, test } from 'vitest'
import { resetSessionAt } from '../../api/meta.ts'
import { workspaceType } from '../../api/workspace.ts'
import { unsupportedCondition, whyNoSessions, type Keeping } from './unsupported.ts'

const workspace = (spec: object, annotations: Record<string, string>) =>
  workspaceType.parse({
    apiVersion: 'molecule.dev/v1alpha1',
    kind: 'Workspace',
    metadata: {
      name: 'a',
      uid: 'u',
      namespace: 'ns',
      resourceVersion: '1',
      generation: 1,
      creationTimestamp: '',
      annotations,
    },
    spec,
  })
const reset = { [resetSessionAt]: '2027-01-01T00:00:00Z' }
const keeping: Keeping = { runtime: 'it', sessionsPath: '/sessions', tier: 2, sealed: false, external: false }

test.each<[Partial<Keeping>, string | undefined]>([
  [{}, undefined],
  [{ sessionsPath: undefined }, 'runtime "it" keeps no sessions: it has no sessionsPath'],
  [{ tier: 1, sealed: true }, 'an agent of tier 1 keeps no sessions: its root cannot be written to'],
  [{ external: true }, 'the agent is run by its owner, and so are its sessions'],
])('%j: sessions can be emptied, or it is said why not', (more, why) => {
  expect(whyNoSessions({ ...keeping, ...more })).toBe(why)
})

test('sessions that are to be emptied and are not kept are told, beside fields that nothing acts on', () => {
  const [compute, told] = [{ compute: { provider: 'aws' } }, 'it keeps none']
  expect(unsupportedCondition(workspace({}, reset), undefined)).toEqual([])
  expect(unsupportedCondition(workspace({}, {}), told)).toEqual([])
  expect(unsupportedCondition(workspace({}, reset), told)).toEqual([
    {
      type: 'Unsupported',
      status: 'True',
      reason: 'NoSessions',
      message: 'molecule.dev/reset-session-at empties nothing: it keeps none',
    },
  ])
  expect(unsupportedCondition(workspace(compute, reset), told)).toMatchObject([
    {
      reason: 'NotActedOnYet',
      message:
        'not acted on yet, the rest works: spec.compute; molecule.dev/reset-session-at empties nothing: it keeps none',
    },
  ])
})
