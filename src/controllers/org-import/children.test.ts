import { expect, test } from 'vitest'
import { nothing as environment, matchWith, nodesOf, owner } from '../../../test/support/org-plan.ts'
import { childrenOf, missingFolders } from './children.ts'

const mounting = { name: 'A', workspace_dir: '${DIR}/a', workspace_access: 'read_write' }
const specOf = (value: string | undefined) => {
  const { matches } = matchWith(nodesOf(mounting), [])
  const known = { ...environment, text: () => value }
  const [child] = childrenOf(owner(), matches, known, new Map())
  const { workspaceDir, workspaceAccess } = child?.manifest.spec ?? {}
  return [workspaceDir, workspaceAccess, missingFolders(nodesOf(mounting), known).map(({ message }) => message)]
}

test('a folder that begins with a variable is mounted where that gives a folder', () => {
  expect(specOf('/srv/work')).toEqual(['/srv/work/a', 'read_write', []])
  expect(specOf('/srv/work/')).toEqual(['/srv/work/a', 'read_write', []])
})

test.each([undefined, '', 'srv', '/etc', '/srv/..', '/srv:/x'])('%j mounts nothing, and that is told', (value) => {
  const nothing = expect.stringMatching(/^workspace_dir is not mounted: no ConfigMap .* gives DIR/) as string
  expect(specOf(value)).toEqual([undefined, undefined, [nothing]])
})
