import { describe, expect, it } from 'vitest'
import { collectEnv, preflight, type EnvAsk } from './env.ts'

const ask = (given: Partial<EnvAsk>): EnvAsk => ({ node: undefined, required: [], recommended: [], ...given })
const shown = (asks: EnvAsk[]) => {
  const { required, recommended } = collectEnv(asks)
  return [required, recommended].map((groups) => groups.map(({ names }) => names.join('|')))
}

describe('what a template asks for', () => {
  it('is the union of all nodes, without doubles, plain variables first', () => {
    const top = ask({ required: [{ any_of: ['Z', 'B'] }, 'D'], recommended: ['S'] })
    const node = ask({ node: 'Lead', required: ['C', { any_of: ['B', 'Z', 'B'] }], recommended: ['S', 'R'] })
    expect(shown([top, node])).toEqual([
      ['C', 'D', 'B|Z'],
      ['R', 'S'],
    ])
  })

  it('drops a group that a plain variable makes superfluous', () => {
    expect(shown([ask({ required: ['A', { any_of: ['A', 'B'] }] })])).toEqual([['A'], []])
  })

  it('drops a recommendation that is required', () => {
    const given = ask({ required: ['A'], recommended: ['A', { any_of: ['A', 'B'] }, 'C'] })
    expect(shown([given])).toEqual([['A'], ['C']])
  })

  it('knows who asks, and that everybody does when the template itself asks', () => {
    const nodes = ['A', 'B'].map((node) => ask({ node, required: ['X', 'Y'] }))
    const { required } = collectEnv([...nodes, ask({ required: ['Y'] })])
    expect(required).toEqual([
      { names: ['X'], askedBy: ['A', 'B'] },
      { names: ['Y'], askedBy: [] },
    ])
  })

  it('keeps the same group in both tiers', () => {
    const group = { any_of: ['A', 'B'] }
    expect(shown([ask({ required: [group], recommended: [group] })])).toEqual([['A|B'], ['A|B']])
  })
})

describe('preflight', () => {
  const needs = collectEnv([
    ask({ required: [{ any_of: ['KEY', 'TOKEN'] }] }),
    ask({ node: 'Lead/Writer', required: ['PEN'], recommended: ['INK'] }),
  ])

  it('names each variable or group that is missing, and who asks', () => {
    expect(preflight(needs, new Set())).toEqual({
      missing: ['PEN (asked for by Lead/Writer)', 'KEY or TOKEN (asked for by the template)'],
      missingRecommended: ['INK (asked for by Lead/Writer)'],
      found: [],
    })
  })

  it('is content with any of a group, and finds only what is asked for', () => {
    const result = preflight(needs, new Set(['TOKEN', 'PEN', 'UNRELATED']))
    expect(result.missing).toEqual([])
    expect(result.found).toEqual(['PEN', 'TOKEN'])
  })

  it('names the first three who ask', () => {
    const many = collectEnv(['A', 'B', 'C', 'D', 'E'].map((node) => ask({ node, required: ['KEY'] })))
    expect(preflight(many, new Set()).missing).toEqual(['KEY (asked for by A, B, C and 2 more)'])
  })
})
