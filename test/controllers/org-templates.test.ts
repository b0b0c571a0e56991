/**
 * Whole templates from a repository: as many nodes, rows, schedules, channels and plugins as an independent count says. Those
 * of ours always; those that the old platform publishes where TEMPLATES_DIR holds clones of them, each at the commit here.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { extract } from 'tar-stream'
import { beforeAll, describe, expect, test } from 'vitest'
import { trustedCertificate } from '../support/certificate.ts'
import { fakeWithAgents } from '../support/operator.ts'
import { startGitServer, type TreeEntry } from '../support/git-server.ts'
import { harbourOrgs } from '../support/harbour-orgs.ts'
import { countOrg, type OrgCount } from '../support/org-count.ts'
import { orgScene } from '../support/org-scene.ts'
import { until } from '../support/until.ts'
import { runtime } from '../support/workspaces.ts'

const gitServer = await startGitServer(await trustedCertificate())
const scene = await orgScene(fakeWithAgents(), {
  SOURCE_HOSTS: '127.0.0.1',
  SOURCE_NETWORKS: '127.0.0.0/8',
  SOURCE_DEFAULT_HOST: new URL(gitServer.origin).host,
})
const { cluster, db } = scene

/** Anything goes: what a model is called is no matter of the template. */
beforeAll(() => cluster.apply(['claude-code', 'langgraph', 'openclaw'].map((name) => runtime(name))))

const bot = `123456:${'x'.repeat(35)}`
/** All that the templates may ask for; of no service. */
const variables = {
  ANTHROPIC_API_KEY: 'for-tests',
  BOT: bot,
  CHAT: '1',
  TELEGRAM_BOT_TOKEN: bot,
  TELEGRAM_CHAT_ID: '1',
  DISCORD_WEBHOOK_URL: 'https://discord.com/api/webhooks/1/for-tests',
}

interface Counts extends OrgCount {
  /** Channels that can be connected: rows. */
  readonly connected: number
}

/** Two entries that no file system of an agent could have: a link, and a submodule. Nothing names them. */
const odd = async (repo: { blob: (text: string) => Promise<string> }): Promise<TreeEntry[]> => [
  { mode: '120000', name: 'CLAUDE.md', oid: await repo.blob('AGENTS.md') },
  { mode: '160000', name: 'vendor', oid: '1'.repeat(40) },
]

type Files = ReadonlyMap<string, string>

/** A row of the table. */
const row = (
  [nodes, roots, levels]: readonly [nodes: number, roots: number, levels: number],
  [schedules, channels, connected]: readonly [schedules: number, channels: number, connected: number] = [0, 0, 0],
  [plugins, installs]: readonly [plugins: number, installs: number] = [0, 0],
): Counts => ({ nodes, roots, levels, schedules, channels, connected, plugins, installs })

let made = 0
/** `whole`: the files with what is of other repositories in its place, for the count. */
async function holds(files: Files, expected: Counts, warns: readonly string[], whole: Files = files) {
  const { connected, ...counted } = expected
  expect(countOrg(whole)).toEqual(counted)
  const ns = await scene.opened()
  const repo = await gitServer.repository(`template-${++made}.git`)
  const tree = await repo.treeOf(Object.fromEntries(files))
  const entries = (await repo.git(['ls-tree', tree])).split('\n').map((line): TreeEntry => {
    const [mode = '', , oid = '', name = ''] = line.split(/[ \t]/)
    return { mode: (mode === '040000' ? '40000' : mode) as TreeEntry['mode'], name, oid }
  })
  const all = [...entries.filter(({ name }) => name !== 'CLAUDE.md'), ...(await odd(repo))]
  await repo.commit(await repo.tree(all))
  const metadata = { name: 'variables', namespace: ns }
  await cluster.apply([{ apiVersion: 'v1', kind: 'Secret', metadata, stringData: variables }])
  await scene.org(ns, 'whole', {
    source: { git: { url: repo.url } },
    env: { from: [{ secretRef: { name: 'variables' } }] },
  })
  const { nodes } = expected
  const org = await scene.settles(ns, 'whole', 'Ready', `0 of ${nodes} existed, ${nodes} created / True Settled`)
  expect(org.status?.counts).toMatchObject({ desired: nodes, created: nodes, ready: nodes, plugins: expected.plugins })
  const told = (org.status?.warnings ?? []).map(({ code, path = '' }) => `${code} ${path}`)
  for (const warning of [...warns, 'FileSkipped CLAUDE.md', 'FileSkipped vendor'])
    expect(told).toContainEqual(expect.stringMatching(`^${warning}`))

  const { rows } = await until(
    async () => {
      const found = await db.query<Record<string, number>>(
        `WITH RECURSIVE live AS (SELECT * FROM workspaces WHERE namespace = $1 AND status <> 'removed'),
         deep AS (SELECT id, 1 AS level FROM live WHERE parent_id IS NULL
           UNION ALL SELECT l.id, d.level + 1 FROM live l JOIN deep d ON l.parent_id = d.id)
         SELECT (SELECT count(*)::int FROM live) AS nodes,
           (SELECT count(*)::int FROM live WHERE parent_id IS NULL) AS roots,
           (SELECT max(level)::int FROM deep) AS levels,
           (SELECT count(*)::int FROM workspace_schedules s JOIN live l ON l.id = s.workspace_id) AS schedules,
           (SELECT count(*)::int FROM workspace_channels c JOIN live l ON l.id = c.workspace_id) AS channels,
           (SELECT count(DISTINCT plugin_name)::int FROM workspace_declared_plugins d JOIN live l ON l.id = d.workspace_id) AS plugins,
           (SELECT count(*)::int FROM workspace_declared_plugins d JOIN live l ON l.id = d.workspace_id) AS installs`,
        [ns],
      )
      expect(found.rows).toEqual([{ ...counted, channels: connected }])
      return found
    },
    { what: 'the rows', within: 90_000, every: 500 },
  )
  expect(rows).toHaveLength(1)
  const parts = { declared: expected.channels, delivered: connected }
  if (expected.channels > 0)
    await until(
      async () => {
        const { items } = (await cluster.getJson('orgimports', '-n', ns)) as {
          items: { status?: { channels?: object } }[]
        }
        expect(items[0]?.status?.channels).toEqual(parts)
        return true
      },
      { what: 'the channels in the status', within: 90_000, every: 500 },
    )
}

const mapOf = (files: Readonly<Record<string, string>>) => new Map(Object.entries(files))

describe('a template of ours', () => {
  test('of many files: teams, roles, settings of plugins, names with signs', async () => {
    const warns = ['ChannelSkipped Market', 'PluginConfigSkipped', 'UnknownKey', 'IgnoredCanvas', 'DanglingRoute']
    await holds(mapOf(harbourOrgs.harbour), row([6, 2, 3], [4, 2, 1], [7, 21]), warns)
  })

  test('of one file and a folder a role', async () => {
    await holds(mapOf(harbourOrgs.flat), row([3, 1, 2]), ['IneffectiveWorkspaceDir'])
  })

  test('that names a folder which it does not have', async () => {
    const warns = ['FileMissing Ferryman', 'UnknownKey defaults.required_env', 'UnknownKey defaults.config']
    await holds(mapOf(harbourOrgs.bare), row([3, 1, 2]), [...warns, 'IgnoredCanvas'])
  })
})

interface Published {
  readonly dir: string
  readonly commit: string
  readonly counts: Counts
  /** Warnings that there are for sure. */
  readonly warns: readonly string[]
  /** What stands in org.yaml for one node of a repository that is not here: another is made in its place. */
  readonly elsewhere?: { readonly text: string; readonly repo: string; readonly tag: string; readonly path: string }
}
const published: readonly Published[] = [
  {
    dir: 'molecule-dev',
    commit: '9fadf9ab231791de8e233c3a8e6a0e370d1be04c',
    counts: row([42, 2, 4], [44, 8, 7], [20, 500]),
    warns: ['ChannelSkipped', 'UnknownKey', 'DanglingRoute', 'IgnoredCanvas', 'SharedChannelToken'],
  },
  {
    dir: 'ux-ab-lab',
    commit: '6a083bd25e62f7fc350e58180fedf944d1727bb4',
    counts: row([7, 1, 2]),
    warns: ['IneffectiveWorkspaceDir'],
  },
  {
    dir: 'free-beats-all',
    commit: '5b817eeb66eb3b32da1bf2d876e32b9ac545bc1f',
    counts: row([3, 1, 2]),
    warns: ['FileMissing PM'],
  },
  {
    dir: 'medo-smoke',
    commit: 'bb8721d4eda36a0e1162fa40eea0e0b312f5c06c',
    counts: row([1, 1, 1]),
    warns: ['UnknownKey defaults.required_env'],
  },
  {
    dir: 'enteros-dev',
    commit: 'cca8e01027fa305d0f60ddee28a5ab79c94cb57f',
    elsewhere: {
      text: '  - !external\n    repo: molecule-ai/molecule-dev-department\n    ref: v1.0.0\n    path: dev-lead/workspace.yaml\n',
      repo: 'molecule-ai/molecule-dev-department',
      tag: 'v1.0.0',
      path: 'dev-lead/workspace.yaml',
    },
    counts: row([12, 3, 3], [0, 4, 4], [15, 130]),
    warns: ['PluginConfigSkipped'],
  },
]

/** The text files of a commit of a clone. */
async function filesAt(dir: string, commit: string): Promise<Map<string, string>> {
  const run = promisify(execFile)
  const options = { encoding: 'buffer', maxBuffer: 64 * 1024 * 1024 } as const
  const { stdout } = await run('git', ['-C', dir, 'archive', '--format=tar', commit], options)
  const files = new Map<string, string>()
  const unpacking = extract()
  unpacking.end(stdout)
  for await (const entry of unpacking) {
    const chunks: Uint8Array[] = []
    for await (const chunk of entry as AsyncIterable<Uint8Array>) chunks.push(chunk)
    if (entry.header.type === 'file') files.set(entry.header.name, Buffer.concat(chunks).toString())
  }
  return files
}

const clones = process.env['TEMPLATES_DIR'] ?? ''
if (clones === '') console.warn('TEMPLATES_DIR names no folder of clones: the published templates are not counted')

describe.skipIf(clones === '')('a published template', () => {
  test.each(published.map((each) => [each.dir, each] as const))('%s', async (dir, each) => {
    const { commit, counts, warns, elsewhere } = each
    expect(existsSync(join(clones, dir)), `a clone in ${join(clones, dir)}`).toBe(true)
    const files = await filesAt(join(clones, dir), commit)
    const org = files.get('org.yaml') ?? ''
    if (elsewhere === undefined) return await holds(files, counts, warns)
    const { text, repo, tag, path } = elsewhere
    expect(org).toContain(text)
    const other = await gitServer.repository(repo)
    await other.git(['tag', tag, await other.commitFiles({ [path]: 'name: From Elsewhere\n' })])
    await holds(files, counts, warns, new Map(files).set('org.yaml', org.replace(text, '  - name: From Elsewhere\n')))
  })
})
