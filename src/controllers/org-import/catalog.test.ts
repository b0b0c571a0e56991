import { expect, it } from 'vitest'
import { nodesOf } from '../../../test/support/org-plan.ts'
import { unknownModel, unknownRuntime, type Catalog } from './catalog.ts'

const runtime = (...models: string[]) => ({ models: models.map((id) => ({ id })) })
const runtimes = new Map([
  ['codex', runtime()],
  ['claude-code', runtime('sonnet', 'opus')],
])
const catalog: Catalog = { runtimes, standard: undefined }
const found = (...nodes: object[]) => unknownRuntime(nodesOf(...nodes), catalog)
const without = (...nodes: object[]) => unknownModel(nodesOf(...nodes), catalog, 'docker')

it('has nothing against what is there, nor against nodes that name none', () => {
  expect(found({ name: 'A', runtime: 'codex', children: [{ name: 'B' }] })).toBeUndefined()
})

it('names each runtime that is not there, who wants it, and what there is', () => {
  expect(found({ name: 'A', runtime: 'nope', children: [{ name: 'B', runtime: 'nope' }] })).toEqual({
    condition: 'Applied',
    reason: 'RuntimeUnknown',
    message: 'runtime "nope" of "A" and 1 other node is not in the catalog, which has claude-code, codex',
    waits: false,
  })
  expect(found({ name: 'A', runtime: 'one' }, { name: 'B', runtime: 'two' })?.message).toBe(
    'runtime "one" of "A" is not in the catalog, which has claude-code, codex; nor are "two"',
  )
  const nothing = { runtimes: new Map(), standard: undefined }
  expect(unknownRuntime(nodesOf({ name: 'A', runtime: 'one' }), nothing)?.message).toContain('which has none')
})

it('names each model that its runtime does not have, and who wants it', () => {
  const node = (name: string, model?: string) => ({ name, runtime: 'claude-code', ...(model && { model }) })
  expect(without(node('A', 'opus'), node('B'), { name: 'C', runtime: 'codex', model: 'anything' })).toBeUndefined()
  expect(without(node('A', 'MiniMax'), node('B', 'MiniMax'), node('C', 'other'))).toEqual({
    condition: 'Applied',
    reason: 'ModelUnknown',
    message:
      'model "MiniMax" of "A" and 1 other node is not one of runtime "claude-code", which has sonnet, opus; nor can model "other" be had',
    waits: false,
  })
})

it('takes a node without a runtime to have the standard one, unless it is external', () => {
  const model = (node: object, backend = 'docker') =>
    unknownModel(nodesOf({ name: 'A', model: 'other', ...node }), { runtimes, standard: 'claude-code' }, backend)
      ?.reason
  expect(model({})).toBe('ModelUnknown')
  expect(model({}, 'external')).toBeUndefined()
  expect(model({ external: true })).toBeUndefined()
  expect(without({ name: 'A', model: 'other' })).toBeUndefined()
})
