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

/** A commit of a clone in TEMPLATES_DIR. */
interface Clone {
  readonly dir: string
  readonly commit: string
}

interface Published extends Clone {
  /** What is tried of the clone, where more than one thing is. */
  readonly as?: string
  readonly counts: Counts
  /** Warnings that there are for sure. */
  readonly warns: readonly string[]
  /** What stands in org.yaml for a node of another repository, and the clone that has it; without one, a node of its own is made. */
  readonly external?: {
    readonly text: string
    readonly repo: string
    readonly tag: string
    readonly path: string
    readonly clone?: Clone
  }
}

const department = {
  text: '  - !external\n    repo: molecule-ai/molecule-dev-department\n    ref: v1.0.0\n    path: dev-lead/workspace.yaml\n',
  repo: 'molecule-ai/molecule-dev-department',
  tag: 'v1.0.0',
  path: 'dev-lead/workspace.yaml',
}

const enterosDev = { dir: 'enteros-dev', commit: 'cca8e01027fa305d0f60ddee28a5ab79c94cb57f' }
const enterosDepartment = (commit: string) => ({ ...department, clone: { dir: 'enteros-dev-department', commit } })
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
    ...enterosDev,
    as: 'with one node in place of its department',
    external: department,
    counts: row([12, 3, 3], [0, 4, 4], [15, 130]),
    warns: ['PluginConfigSkipped'],
  },
  {
    ...enterosDev,
    as: 'with its department as it was when it had channels',
    external: enterosDepartment('3b6d2621ccf13a70899331060b7e59df4a483dbd'),
    counts: row([39, 3, 3], [30, 8, 7], [21, 475]),
    warns: ['PluginConfigSkipped', 'ChannelSkipped'],
  },
  {
    ...enterosDev,
    as: 'with its department',
    external: enterosDepartment('1cf269a0aac0d07d57d4cbb0473184d79b07520a'),
    counts: row([39, 3, 3], [30, 4, 4], [21, 475]),
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

/** The files of the repository that `!external` names. */
const filesOfExternal = async ({ path, clone }: NonNullable<Published['external']>) =>
  clone === undefined
    ? mapOf({ [path]: 'name: From Elsewhere\n' })
    : await filesAt(join(clones, clone.dir), clone.commit)

const lacking = ({ external }: Published) =>
  external?.clone !== undefined && !existsSync(join(clones, external.clone.dir)) ? external.clone.dir : undefined
if (clones !== '')
  for (const dir of new Set(published.map(lacking).filter((each) => each !== undefined)))
    console.warn(`TEMPLATES_DIR has no clone ${dir}: what refers to it is not counted with it`)
const counted = published.filter((each) => lacking(each) === undefined)

describe.skipIf(clones === '')('a published template', () => {
  test.each(counted.map((each) => [`${each.dir} ${each.as ?? ''}`.trim(), each] as const))('%s', async (_, each) => {
    const { dir, commit, counts, warns, external } = each
    expect(existsSync(join(clones, dir)), `a clone in ${join(clones, dir)}`).toBe(true)
    const files = await filesAt(join(clones, dir), commit)
    if (external === undefined) return await holds(files, counts, warns)
    const { text, repo, tag, path } = external
    const org = files.get('org.yaml') ?? ''
    expect(org).toContain(text)
    const others = await filesOfExternal(external)
    // What a tag points at is kept for an hour: each row has a repository of its own.
    const named = `${repo}-${each.counts.nodes}-${each.counts.connected}`
    files.set('org.yaml', org.replace(text, text.replace(repo, named)))
    const other = await gitServer.repository(named)
    await other.git(['tag', tag, await other.commitFiles(Object.fromEntries(others))])
    const whole = new Map([...files, ...[...others].map(([name, content]) => [`external/${name}`, content] as const)])
    whole.set('org.yaml', org.replace(text, `  - !include external/${path}\n`))
    await holds(files, counts, warns, whole)
  })
})
