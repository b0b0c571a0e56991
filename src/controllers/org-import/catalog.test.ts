import { expect, it } from 'vitest'
import { nodesOf } from '../../../test/support/org-plan.ts'
import { unknownRuntime } from './catalog.ts'

const catalog = new Set(['codex', 'claude-code'])
const found = (...nodes: object[]) => unknownRuntime(nodesOf(...nodes), catalog)

it('has nothing against what is there, nor against nodes that name none', () => {
  expect(found({ name: 'A', runtime: 'codex', children: [{ name: 'B' }] })).toBeUndefined()
})

it('names each runtime that is not there, who wants it, and what there is; and waits for it', () => {
  expect(found({ name: 'A', runtime: 'nope', children: [{ name: 'B', runtime: 'nope' }] })).toEqual({
    condition: 'Applied',
    reason: 'RuntimeUnknown',
    message: 'runtime "nope" of "A" and 1 other node is not in the catalog, which has claude-code, codex',
    waits: true,
  })
  expect(found({ name: 'A', runtime: 'one' }, { name: 'B', runtime: 'two' })?.message).toBe(
    'runtime "one" of "A" is not in the catalog, which has claude-code, codex; nor are "two"',
  )
  expect(unknownRuntime(nodesOf({ name: 'A', runtime: 'one' }), new Set())?.message).toContain('which has none')
})
