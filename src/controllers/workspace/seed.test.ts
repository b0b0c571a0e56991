import { expect, test } from 'vitest'
import { declaredRuntime, seedFault } from './seed.ts'

const files = (...paths: string[]) => ({
  files: paths.map((path) => ({ path, configMapKeyRef: { name: 'm', key: 'k', optional: false } })),
})

test('what an agent writes itself is not seeded', () => {
  for (const path of ['MEMORY.md', 'CLAUDE.md', '.claude/settings.json', '.auth_token', '.platform_inbound_secret'])
    expect(seedFault(files('prompts/a.md', path))?.message).toContain(path)
  expect(seedFault(files('prompts/MEMORY.md', 'system-prompt.md'))).toBeUndefined()
})

test('a path that no archive can hold is refused before anything is made', () => {
  expect(seedFault(files('🦊'.repeat(51)))?.reason).toBe('InvalidSpec')
  expect(seedFault(files('🦊'.repeat(50)))).toBeUndefined()
})

test('the runtime that a config declares', () => {
  expect(declaredRuntime('name: x\nruntime: "claude-code" # the usual\n')).toBe('claude-code')
  expect(declaredRuntime('runtime_config:\n  runtime: x\n')).toBeUndefined()
})
