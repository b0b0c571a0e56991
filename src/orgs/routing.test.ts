import { expect, it } from 'vitest'
import { mergeRouting } from './routing.ts'

it.each([
  ['a list of the node replaces the whole default one', { ui: ['A', 'B'] }, { ui: ['C'] }, { ui: ['C'] }],
  ['what the node does not name stays', { ui: ['A'] }, { qa: ['B'] }, { ui: ['A'], qa: ['B'] }],
  ['an empty list of the node takes the key away', { ui: ['A'], qa: ['B'] }, { ui: [] }, { qa: ['B'] }],
  ['an empty default list is none', { ui: [] }, {}, {}],
  ['an empty key is none', { '': ['A'] }, { '': ['B'] }, {}],
  ['a role is named once', { ui: ['A', 'A'] }, { qa: ['B', 'C', 'B'] }, { ui: ['A'], qa: ['B', 'C'] }],
  ['a key may have any name', {}, { constructor: ['A'] }, { constructor: ['A'] }],
])('%s', (_what, defaults, own, merged) => {
  expect(mergeRouting(defaults, own)).toEqual(merged)
})
