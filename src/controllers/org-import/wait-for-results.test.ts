import { expect, test } from 'vitest'
import type { OrgImport } from '../../api/org-import.ts'
import type { Workspace } from '../../api/workspace.ts'
import type { PassResult } from '../fleet.ts'
import type { Done } from './apply.ts'
import type { Looked } from './describe.ts'
import { waitForResults } from './wait-for-results.ts'

const org = (observedGeneration: number) =>
  ({ metadata: { generation: 2 }, status: { observedGeneration } }) as unknown as OrgImport
const node = (deed: Done['deed']): Done => ({ path: 'a', name: 'a', deed, existed: true })
const live = (suspend = false) => ({ metadata: { generation: 1 }, spec: { suspend } }) as unknown as Workspace
const seen = { ready: true, generation: 1 } as PassResult
const found = (looked: Partial<Looked>) => () => ({ live: undefined, result: undefined, ...looked })
const waits = (...asked: Parameters<typeof waitForResults>) => {
  try {
    waitForResults(...asked)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

test('the status of an import stays as it is until each of its Workspaces was looked at', () => {
  const unseen = found({ live: live() })
  expect(waits(org(2), [node('Unchanged'), node('Ignored')], unseen)).toBe('2 workspaces to be looked at')
  expect(waits(org(2), [node('Unchanged')], found({ live: live(), result: seen }))).toBeUndefined()
})

test('what was never said, or has just been done, is said at once', () => {
  const unseen = found({ live: live() })
  expect(waits(org(1), [node('Unchanged')], unseen)).toBeUndefined()
  for (const deed of ['Created', 'Updated', 'Failed', 'Waiting'] as const)
    expect(waits(org(2), [node('Unchanged'), node(deed)], unseen)).toBeUndefined()
  expect(waits(org(2), [node('Unchanged')], found({ live: live(true) }))).toBeUndefined()
  expect(waits(org(2), [node('Unchanged')], found({}))).toBeUndefined()
})
