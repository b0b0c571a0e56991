import { expect, it } from 'vitest'
import { renderOrg } from './tree.ts'

const refusal = (template: unknown) => {
  try {
    renderOrg({ kind: 'inline', template }, { importUid: 'uid' })
    return 'taken'
  } catch (error) {
    return String(error)
  }
}

it.each([
  ['a number for a variable', { required_env: [5] }, 'required_env[0]: expected string, received number'],
  ['a group of another name', { required_env: [{ any: ['A'] }] }, 'required_env[0].any_of: expected array'],
  [
    'a list in a setting',
    { workspaces: [{ name: 'A', channels: [{ config: { a: ['b'] } }] }] },
    'channels[0].config.a',
  ],
  ['an access that is none', { workspaces: [{ name: 'A', workspace_access: 'all' }] }, 'expected one of "none"'],
  ['a long prompt', { workspaces: [{ name: 'A', idle_prompt: 'x'.repeat(100_001) }] }, 'too big'],
  ['a number for a name', { workspaces: [{ name: 7 }] }, 'expected string, received number: quote it'],
  ['several faults', { name: 1, description: 2, workspaces: 3 }, '3 mistakes: name: expected string'],
])('says what is wrong with %s', (_what, template, text) => {
  expect(refusal(template)).toContain(text)
  expect(refusal(template)).not.toContain('Invalid input')
})
