/** Bad input against a real API server: what becomes of it, how it is told, and that nothing is made of it. */
import { expect, test } from 'vitest'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { badOrgs, oddNodes, refusedOrgs } from '../support/bad-orgs.ts'
import { orgScene } from '../support/org-scene.ts'
import { fromConfigMap, orgImport, readOrg, template } from '../support/orgs.ts'
import { until } from '../support/until.ts'
import { runtime } from '../support/workspaces.ts'

/** Namespaces of the instances that were made: other files have used the cluster before. */
const launched: string[] = []
const backend = new FakeBackend({
  onRunning: (spec, ended) => {
    launched.push(spec.ref.namespace)
    registerAt(spec, ended)
  },
})
const scene = await orgScene(backend)
const { cluster, db } = scene

/** No object of ours but those that the test made, no row, no instance. */
async function nothingIsMade(ns: string) {
  expect(await scene.workspaces(ns)).toEqual([])
  const { rows } = await db.query('SELECT id FROM workspaces WHERE namespace = $1', [ns])
  expect(rows).toEqual([])
  expect((await cluster.kubectl(['get', 'plugininstalls', '-n', ns, '-o', 'name'])).trim()).toBe('')
  const left = (await cluster.kubectl(['get', 'configmaps', '-n', ns, '-o', 'name'])).trim().split('\n')
  expect(left.filter((name) => !/^(configmap\/(bad-\d+|kube-root-ca\.crt))?$/.test(name))).toEqual([])
  expect(launched).not.toContain(ns)
}

test('nothing is made of bad input, and each says what is wrong with it', async () => {
  const ns = await scene.opened()
  const keys = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'keys', namespace: ns },
    stringData: { GITHUB_TOKEN: 'hush-hush', DATABASE_URL: 'hush-hush' },
  }
  const maps = badOrgs.flatMap(({ files }, i) => (files === undefined ? [] : [template(ns, `bad-${i}`, files)]))
  const orgs = badOrgs.map(({ spec, key }, i) => {
    const ref = { name: `bad-${i}`, ...(key !== undefined && { key }) }
    return orgImport(ns, ref.name, spec ?? { source: { configMapRef: ref } })
  })
  await cluster.apply([keys, ...maps, ...orgs])
  for (const [i, { what, condition, reason, says }] of badOrgs.entries()) {
    const found = await until(
      async () => {
        const { status, metadata } = await readOrg(cluster, ns, `bad-${i}`)
        expect(status?.observedGeneration).toBe(metadata.generation)
        const of = (wanted: string) => status?.conditions?.find(({ type }) => type === wanted)
        expect(`${of(condition)?.status} ${of(condition)?.reason}`).toBe(`False ${reason}`)
        expect(`${of('Ready')?.status} ${of('Ready')?.reason}`).toBe(`False ${reason}`)
        return of(condition)?.message
      },
      { what: `${what}: ${condition}=False ${reason}`, within: 90_000 },
    )
    expect.soft(found, what).toMatch(says)
  }
  const shown = await cluster.kubectl(['get', 'orgimports,events', '-n', ns, '-o', 'json'])
  expect(shown).not.toContain('hush-hush')
  await nothingIsMade(ns)
}, 300_000)

test('what is no OrgImport at all is refused where it is applied', async () => {
  const ns = await scene.opened()
  for (const [what, spec, says] of refusedOrgs) {
    const attempt =
      typeof spec === 'string'
        ? cluster.kubectl(['create', '--raw', `/apis/molecule.dev/v1alpha1/namespaces/${ns}/orgimports`, '-f', '-'], {
            input: spec,
          })
        : cluster.apply([orgImport(ns, 'refused', spec)])
    await expect.soft(attempt, what).rejects.toThrow(says)
  }
  expect((await cluster.kubectl(['get', 'orgimports', '-n', ns, '-o', 'name'])).trim()).toBe('')
  await nothingIsMade(ns)
})

test('a runtime that comes after the import is not missed', async () => {
  const ns = await scene.opened()
  const inline = { name: 'Team', workspaces: [{ name: 'A', runtime: ns, children: [{ name: 'B' }] }] }
  await scene.org(ns, 'team', { source: { inline } })
  await scene.settles(ns, 'team', 'Applied', `Stalled: runtime "${ns}" of "A" is not in the catalog`)
  await nothingIsMade(ns)
  await cluster.apply([runtime(ns)])
  try {
    await scene.settles(ns, 'team', 'Ready', '0 of 2 existed, 2 created / True Settled')
  } finally {
    await cluster.kubectl(['delete', 'org', 'team', '-n', ns, '--timeout=60s'])
    await cluster.kubectl(['delete', 'runtime', ns, '--wait=false'])
  }
})

test('what is only odd is left out, told of, and keeps nothing else back', async () => {
  const ns = await scene.opened()
  const lines = oddNodes.map(([text]) => `  - { ${text} }`)
  await cluster.apply([template(ns, 'odd', { 'org.yaml': `workspaces:\n${lines.join('\n')}\n` })])
  await scene.org(ns, 'odd', fromConfigMap('odd'))
  const org = await scene.settles(ns, 'odd', 'Ready', `0 of ${lines.length} existed, ${lines.length} created / True`)
  const told = (org.status?.warnings ?? [])
    .filter(({ code }) => code !== 'PluginsSkipped')
    .map(({ code, message }) => `${code} ${message}`)
  for (const [text, code, says] of oddNodes)
    expect.soft(told, text.slice(0, 60)).toContainEqual(expect.stringMatching(new RegExp(`^${code} .*${says.source}`)))
  expect(told).toHaveLength(oddNodes.length)
  expect(JSON.stringify(told)).not.toContain('hush')
  const whoHas = async (table: string) => {
    const { rows } = await db.query<{ name: string }>(
      `SELECT w.name FROM ${table} t JOIN workspaces w ON w.id = t.workspace_id WHERE w.namespace = $1`,
      [ns],
    )
    return rows.map(({ name }) => name)
  }
  expect(await whoHas('workspace_schedules')).toEqual(['yes for true'])
  expect(await whoHas('agent_memories')).toEqual(['long memory'])
  expect(await whoHas('workspace_channels')).toEqual([])
}, 240_000)
