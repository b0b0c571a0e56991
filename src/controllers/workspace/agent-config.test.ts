import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { promptsAmong, renderAgentConfig } from './agent-config.ts'

const agent = {
  name: 'Ada',
  description: 'Sets "the" tone',
  tier: 3,
  runtime: 'claude-code',
  model: 'sonnet',
  routing: {},
}

test('what an agent reads is YAML of one meaning, whatever is in it', () => {
  const hostile = {
    ...agent,
    name: 'a: b\n# c',
    routing: { 'ui: "x"': ['Ada, Countess\u2028of Lovelace', '[Grace]'], api: ['*x'] },
  }
  expect(parse(renderAgentConfig(hostile))).toEqual({
    name: 'a: b # c',
    description: 'Sets "the" tone',
    version: '1.0.0',
    tier: 3,
    runtime: 'claude-code',
    model: 'sonnet',
    runtime_config: { timeout: 0 },
    category_routing: { api: ['*x'], 'ui: "x"': ['Ada, Countess of Lovelace', '[Grace]'] },
  })
})

test('what is not asked for is not there', () => {
  expect(renderAgentConfig(agent)).not.toContain('category_routing')
  expect(renderAgentConfig({ ...agent, runtime: 'langgraph' })).not.toContain('runtime_config')
})

test('what it is told at first and when idle is what its files say', () => {
  const idle = 'Look around:\n  - "inbox"\n# done\u2028\u0007\u0085'
  const files = [
    { path: 'prompts/initial.md', content: Buffer.from(' Begin.\n') },
    { path: 'prompts/idle.md', content: idle },
  ]
  expect(parse(renderAgentConfig({ ...agent, prompts: promptsAmong(files, 900) }))).toMatchObject({
    initial_prompt: 'Begin.',
    idle_interval_seconds: 900,
    idle_prompt: idle.trim(),
  })
  const none = renderAgentConfig({ ...agent, prompts: promptsAmong([], 900) })
  expect(none).toBe(renderAgentConfig(agent))
})
