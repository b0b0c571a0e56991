/** One template of seven agents from every kind of source: one tree, and none that knows where it came from. */
import { expect, test } from 'vitest'
import type { OrgImport } from '../../src/api/org-import.ts'
import { archiveOf } from '../support/archives.ts'
import { fakeWithAgents } from '../support/operator.ts'
import { startGitServer } from '../support/git-server.ts'
import { orgScene, patch } from '../support/org-scene.ts'
import { template } from '../support/orgs.ts'
import { tideFiles, tideOddities, tidePlaces, tideTree } from '../support/tide-lab.ts'
import { until } from '../support/until.ts'

const gitServer = await startGitServer()
const scene = await orgScene(fakeWithAgents(), { SOURCE_HTTP_HOSTS: '127.0.0.1', SOURCE_NETWORKS: '127.0.0.0/8' })
const { cluster, db, backend } = scene
const repo = await gitServer.repository('tide.git')
const commit = await repo.commitFiles(tideFiles)
const archive = await archiveOf(tideFiles)

const sources = {
  keys: { configMapRef: { name: 'keys' } },
  archive: { configMapRef: { name: 'archive', archiveKey: 'tide.tgz' } },
  git: { git: { url: repo.url } },
  inline: { inline: tideTree },
} as const

/** A namespace with all that the sources and the template ask for. */
async function harbour(): Promise<string> {
  const ns = await scene.opened()
  const object = (kind: string, name: string, content: object) => ({
    apiVersion: 'v1',
    kind,
    metadata: { name, namespace: ns },
    ...content,
  })
  await cluster.apply([
    template(ns, 'keys', tideFiles),
    object('ConfigMap', 'archive', { binaryData: { 'tide.tgz': archive.toString('base64') } }),
    object('Secret', 'login', { stringData: { CLAUDE_CODE_OAUTH_TOKEN: 'for-tests' } }),
  ])
  return ns
}
const spec = (source: object) => ({ source, env: { from: [{ secretRef: { name: 'login' } }] } })

/** The place in a file is all that a source may add to a warning. */
const oddities = ({ status }: OrgImport) =>
  (status?.warnings ?? []).map(({ code, path = '' }) => `${code} ${path}`).toSorted()

/** The tree as its agents, its people and its rows have it, without what follows from the import's UID. */
async function treeOf(ns: string) {
  const live = await scene.workspaces(ns)
  const paths = new Map(
    live.map(({ metadata }) => [metadata.name, metadata.annotations?.['molecule.dev/org-node'] ?? '']),
  )
  const nodes = live.map(({ metadata, spec: { parentRef, files = [], ...rest } }) =>
    Object.assign(rest, {
      path: paths.get(metadata.name),
      parent: parentRef && paths.get(parentRef.name),
      files: files.map(({ path }) => [path, backend.volumes.get(metadata.uid)?.get(path)]),
    }),
  )
  const { rows } = await db.query<{ name: string; parent: string | null; x: number; y: number; plugins: string[] }>(
    `SELECT w.name, p.name AS parent, w.tier, w.model, w.role, l.x, l.y,
       ARRAY(SELECT plugin_name FROM workspace_declared_plugins d WHERE d.workspace_id = w.id ORDER BY 1) AS plugins,
       ARRAY(SELECT prompt || cron_expr FROM workspace_schedules s WHERE s.workspace_id = w.id) AS schedules,
       ARRAY(SELECT scope || content FROM agent_memories m WHERE m.workspace_id = w.id) AS memories
     FROM workspaces w JOIN canvas_layouts l ON l.workspace_id = w.id LEFT JOIN workspaces p ON p.id = w.parent_id
     WHERE w.namespace = $1 ORDER BY w.name`,
    [ns],
  )
  return { nodes: nodes.toSorted((a, b) => ((a.path ?? '') < (b.path ?? '') ? -1 : 1)), rows }
}

test('it is the same tree from a ConfigMap, an archive in one, a repository, and written out', async () => {
  const found = await Promise.all(
    Object.entries(sources).map(async ([name, source]) => {
      const ns = await harbour()
      await scene.org(ns, 'tide', spec(source))
      const org = await scene.settles(ns, 'tide', 'Ready', '0 of 7 existed, 7 created / True Settled')
      await scene.tells(ns, 'tide', 'Scheduled')
      // What a plugin's install declares comes into rows by a pass of its own.
      const tree = await until(
        async () => {
          const found = await treeOf(ns)
          expect(found.rows.flatMap(({ plugins }) => plugins)).toHaveLength(15)
          return found
        },
        { what: 'the declared plugins', within: 45_000 },
      )
      return { name, org, tree }
    }),
  )
  const [first] = found
  expect(first?.org.status?.source?.digest).toMatch(/^[0-9a-f]{64}$/)
  for (const { name, org, tree } of found) {
    expect(org.status?.source?.digest, name).toBe(first?.org.status?.source?.digest)
    expect(tree, name).toEqual(first?.tree)
    expect(oddities(org), name).toEqual([...tideOddities, 'PluginsSkipped '].toSorted())
    expect(org.status?.env?.missingRecommended, name).toEqual(['TIDE_TABLE_TOKEN (asked for by the template)'])
    const places = tree.nodes.map(({ path, canvas }) => [path, [canvas?.x, canvas?.y]])
    expect(Object.fromEntries(places), name).toEqual(tidePlaces)
    for (const { name: who, parent, x, y } of tree.rows)
      expect([x, y], `${name}: ${who}`).toEqual(tidePlaces[parent === null ? who : `${parent}/${who}`])
  }
  const gauger = first?.tree.nodes.find(({ path }) => path === 'Pilot/Gauger')
  expect(gauger?.files).toEqual([
    ['prompts/initial.md', tideFiles['first-words.md']],
    ['system-prompt.md', tideFiles['crew/gauger/system-prompt.md']],
  ])
  expect(first?.tree.rows.find(({ name }) => name === 'Gauger')).toMatchObject({
    tier: 1,
    plugins: ['code-review', 'tide-tables'],
    schedules: ['Read the gauge, and tell the Pilot the height of the tide.0 5 29 2 *'],
  })
}, 360_000)

/** The version of every object that the import made, and of every row: a write anywhere is another one. */
async function versions(ns: string): Promise<string[]> {
  const { items } = (await cluster.getJson('workspaces,plugininstalls,configmaps', '-n', ns)) as {
    items: { kind: string; metadata: { name: string; uid: string; resourceVersion: string; labels?: object } }[]
  }
  const made = items.filter(({ metadata: { labels = {} } }) => 'molecule.dev/org-import' in labels)
  const rows = await db.query<{ line: string }>(
    `WITH own AS (SELECT id, name, updated_at FROM workspaces WHERE namespace = $1)
     SELECT 'row ' || name || ' ' || updated_at AS line FROM own
     UNION ALL SELECT 'place ' || t.xmin FROM canvas_layouts t JOIN own ON own.id = t.workspace_id
     UNION ALL SELECT 'schedule ' || COALESCE(t.next_run_at || ' ' || t.updated_at, 'not reckoned')
       FROM workspace_schedules t JOIN own ON own.id = t.workspace_id
     UNION ALL SELECT 'memory ' || t.id || t.xmin FROM agent_memories t JOIN own ON own.id = t.workspace_id
     UNION ALL SELECT 'plugin ' || t.xmin FROM workspace_declared_plugins t JOIN own ON own.id = t.workspace_id`,
    [ns],
  )
  const objects = made.map(
    ({ kind, metadata }) => `${kind} ${metadata.name} ${metadata.uid} ${metadata.resourceVersion}`,
  )
  return [...objects, ...rows.rows.map(({ line }) => line)].toSorted()
}

test('moved from source to source it stays as it is: nothing of it is written', async () => {
  const ns = await harbour()
  await scene.org(ns, 'tide', spec(sources.inline))
  const first = await scene.settles(ns, 'tide', 'Ready', 'True Settled')
  // Who is above counts those below, and the scheduler reckons, once the tree is there.
  const before = await until(
    async () => {
      const top = (await scene.workspaces(ns)).find(({ spec: { parentRef } }) => parentRef === undefined)
      expect(top?.status?.children).toEqual({ total: 6, ready: 6 })
      const seen = await versions(ns)
      expect(seen).not.toContain('schedule not reckoned')
      await scene.onePass(ns, 'tide')
      expect(await versions(ns)).toEqual(seen)
      return seen
    },
    { what: 'a tree that is quiet', within: 90_000 },
  )
  const ofKind = (kind: string) => before.filter((line) => line.startsWith(`${kind} `)).length
  expect(['Workspace', 'PluginInstall', 'row', 'place', 'schedule', 'memory'].map(ofKind)).toEqual([7, 4, 7, 7, 1, 1])
  expect([ofKind('ConfigMap') > 0, ofKind('plugin')]).toEqual([true, 15])

  const none = Object.fromEntries(Object.values(sources).flatMap((each) => Object.keys(each).map((key) => [key, null])))
  const revisions = { git: `main@sha1:${commit}`, inline: 'generation 5', keys: /^\d+$/, archive: /^\d+$/ }
  for (const name of ['keys', 'git', 'archive', 'inline'] as const) {
    await patch(cluster, ns, 'org', 'tide', { spec: { source: { ...none, ...sources[name] } } })
    const org = await scene.settles(ns, 'tide', 'Ready', 'True Settled')
    expect(org.status?.source?.revision, name).toMatch(revisions[name])
    expect(org.status?.source?.digest, name).toBe(first.status?.source?.digest)
    expect(oddities(org), name).toEqual([...tideOddities, 'PluginsSkipped '].toSorted())
    await scene.onePass(ns, 'tide')
    expect(await versions(ns), name).toEqual(before)
  }
  const live = await scene.workspaces(ns)
  expect(live.map(({ metadata }) => backend.creates.get(metadata.uid))).toEqual(Array(7).fill(1))
}, 360_000)
