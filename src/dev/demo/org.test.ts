import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readOrg } from './org.ts'

async function read(text: string) {
  const folder = mkdtempSync(join(tmpdir(), 'molecule-test-demo-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'org.yaml'), text)
  return await readOrg(folder, new Map())
}

test.each([
  ['by its address', 'repo: https://git.example/org/teams'],
  ['without a host', 'repo: org/teams'],
])('a template that refers to another repository %s is refused by what a demo cannot do', async (_how, repo) => {
  const text = `workspaces:\n  - !external { ${repo}, ref: v1.0.0, path: team.yaml }\n`
  await expect(read(text)).rejects.toThrow(/^org\.yaml:2:\d+: !external names another repository, and a demo reads its/)
})

test('what else is wrong with a template is told as it is', async () => {
  await expect(read('workspaces: [{ name: A, tier: high }]')).rejects.toThrow(/tier: expected/)
  expect(await read('name: Team\nworkspaces: [{ name: A, runtime: r }]')).toMatchObject({ agents: 1, runtimes: ['r'] })
})
