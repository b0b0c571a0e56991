import { expect, test } from 'vitest'
import { adoptedHash, type Observation } from '../../backends/backend.ts'
import type { Facts } from './judge.ts'
import { templateStatus } from './template-status.ts'

const identity = 'configmap/writer'
const wanted = { revision: 'new', source: 'ConfigMap ns/writer' }
const shown = (seen: object, before?: object) =>
  templateStatus({
    workspace: { status: before && { template: before } },
    row: { template: identity },
    desired: { template: { ...wanted, files: [] }, intent: { specHash: 'new.i.r' } },
    seen: seen as Observation,
  } as unknown as Facts).template

test('the revision is of the instance that was seen, not of the one that is wanted', () => {
  expect(shown({ state: 'running', specHash: 'new.i.r' })).toEqual({ identity, ...wanted })
  expect(shown({ state: 'exited', specHash: 'new.i.r' })).toEqual({ identity, ...wanted })
  expect(shown({ state: 'running', specHash: 'old.i.r' })).toEqual({ identity })
  expect(shown({ state: 'absent' })).toEqual({ identity })
  expect(shown({ state: 'stopping' })).toEqual({ identity })
  // Its hash stands for what the row says, and its files are another system's.
  expect(shown({ state: 'running', specHash: adoptedHash })).toEqual({ identity })
})

test('while the backend does not answer, what was seen last stays', () => {
  const before = { identity, revision: 'old', source: wanted.source }
  expect(shown({ state: 'unknown', cause: '' }, before)).toEqual(before)
  expect(shown({ state: 'unknown', cause: '' }, { ...before, identity: 'configmap/other' })).toEqual({ identity })
  expect(shown({ state: 'unknown', cause: '' })).toEqual({ identity })
})
