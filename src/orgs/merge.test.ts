import { describe, expect, it } from 'vitest'
import { effective } from './merge.ts'

describe('a node and the defaults', () => {
  it('lets the node win where it says something', () => {
    const defaults = { runtime: 'claude-code', tier: 3, model: 'sonnet' }
    expect(effective({ name: 'a' }, defaults)).toMatchObject(defaults)
    expect(effective({ name: 'a', runtime: 'codex', tier: 1, model: 'opus' }, defaults)).toMatchObject({
      runtime: 'codex',
      tier: 1,
      model: 'opus',
    })
  })

  it('takes an empty text and tier 0 for not given, and invents nothing', () => {
    const { runtime, tier, model } = effective({ name: 'a', runtime: '', tier: 0, model: '' }, { tier: 0 })
    expect([runtime, tier, model]).toEqual([undefined, undefined, undefined])
  })

  it('takes prompts in the order: own text, own file, default text, default file', () => {
    const text = { initial_prompt: 'own' }
    const file = { initial_prompt_file: 'own.md' }
    const defaults = { initial_prompt: 'default', initial_prompt_file: 'default.md' }
    const of = (node: object, given: object) => effective({ name: 'a', ...node }, given).initialPrompt
    expect(of({ ...text, ...file }, defaults)).toEqual({ text: 'own', from: 'node' })
    expect(of({ ...file, initial_prompt: '' }, defaults)).toEqual({ file: 'own.md', from: 'node' })
    expect(of({}, defaults)).toEqual({ text: 'default', from: 'defaults' })
    expect(of({}, { initial_prompt_file: 'default.md' })).toEqual({ file: 'default.md', from: 'defaults' })
    expect(of({}, {})).toBeUndefined()
  })

  it('takes idle prompts in the same order, every ten minutes unless told otherwise', () => {
    const idle = effective({ name: 'a', idle_prompt_file: 'idle.md' }, { idle_prompt: 'look around' })
    expect(idle.idlePrompt).toEqual({ file: 'idle.md', from: 'node' })
    expect(idle.idleIntervalSeconds).toBe(600)
    const seconds = (own: number, shared: number) =>
      effective({ name: 'a', idle_interval_seconds: own }, { idle_interval_seconds: shared }).idleIntervalSeconds
    expect([seconds(30, 60), seconds(0, 60), seconds(0, 0)]).toEqual([30, 60, 600])
  })

  it('replaces memories whole, and only by a list that is not empty', () => {
    const shared = { initial_memories: [{ content: 'shared' }] }
    expect(effective({ name: 'a', initial_memories: [] }, shared).memories).toEqual({
      from: 'defaults',
      list: shared.initial_memories,
    })
    expect(effective({ name: 'a', initial_memories: [{ content: 'own' }] }, shared).memories).toEqual({
      from: 'node',
      list: [{ content: 'own' }],
    })
  })
})
