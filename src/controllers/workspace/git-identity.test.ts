import { expect, test } from 'vitest'
import { gitIdentity } from './git-identity.ts'

test('a name as people read it, an address as mail allows it', () => {
  expect(gitIdentity('Café & Ops (lead)', 'ops')).toMatchObject({
    GIT_AUTHOR_NAME: 'Molecule AI Café & Ops (lead)',
    GIT_COMMITTER_EMAIL: 'cafe-ops-lead@agents.moleculesai.app',
  })
  expect(gitIdentity('审查', 'reviewer').GIT_AUTHOR_EMAIL).toBe('reviewer@agents.moleculesai.app')
})
