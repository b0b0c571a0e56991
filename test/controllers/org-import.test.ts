/** OrgImports on a real API server and database; instances are fake. */
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { OrgImport } from '../../src/api/org-import.ts'
import { controlPlane, namespaces, openNamespace } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { fakeWithAgents, startOperator, type TestOperator } from '../support/operator.ts'
import { patch } from '../support/org-scene.ts'
import { atRest, conditionOf, fromConfigMap, onePass, orgImport, readOrg, readTree, template } from '../support/orgs.ts'
import { until } from '../support/until.ts'
import { writesOf } from '../support/writes.ts'
import { removeRuntimes, runtime } from '../support/workspaces.ts'

// Each wait of a test has a limit of its own: this one is for all of them together.
vi.setConfig({ testTimeout: 240_000 })
const cluster = controlPlane()
const freshNamespace = namespaces(cluster)
const databaseUrl = await database()
const backend = fakeWithAgents()
const db = new Client({ connectionString: databaseUrl })
let operator: TestOperator

beforeAll(async () => {
  await db.connect()
  await cluster.apply([runtime('org-agent', { default: true })])
  operator = await startOperator({ databaseUrl, backends: [backend] })
})
afterAll(async () => {
  await operator.stop()
  await removeRuntimes(cluster, 'org-agent')
  await db.end()
})

/** A namespace of its own for each test: what is in it came from that test. */
async function opened(): Promise<string> {
  const ns = await freshNamespace()
  await openNamespace(ns, cluster)
  return ns
}

async function settles(ns: string, name: string, type: string, verdict: string): Promise<OrgImport> {
  return await until(
    async () => {
      const found = await readOrg(cluster, ns, name)
      expect(found.status?.observedGeneration).toBe(found.metadata.generation)
      expect(`${found.status?.summary} / ${conditionOf(found.status, type)}`).toContain(verdict)
      return found
    },
    { what: `${name} to be ${type}=${verdict}`, within: 90_000 },
  )
}

const far = { within: 45_000 }

const team = {
  'org.yaml': `name: Team
defaults: { tier: 2, initial_prompt: Wait. }
workspaces:
  - name: Lead
    files_dir: lead
    children:
      - !include members.yaml
      - { name: Helper, role: Helps., system_prompt: You help. }
`,
  'members.yaml': 'name: Member\nfiles_dir: member\ninitial_prompt: Begin.\n',
  'lead/system-prompt.md': 'You lead.',
  'member/system-prompt.md': 'You take part.',
  'member/notes/first.md': 'One.',
}

async function folder(path: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {}
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    const full = join(entry.parentPath, entry.name)
    if (entry.isFile()) files[relative(path, full).replaceAll('\\', '/')] = await readFile(full, 'utf8')
  }
  return files
}

describe('a tree', () => {
  test('comes up from a ConfigMap; applied again, nothing is written', async () => {
    const ns = await opened()
    await cluster.apply([template(ns, 'team', team), orgImport(ns, 'team', fromConfigMap('team'))])
    const org = await settles(ns, 'team', 'Ready', 'True Settled')
    expect(org.status).toMatchObject({
      summary: '3 of 3 ready; last change: 0 of 3 existed, 3 created',
      counts: { desired: 3, existing: 0, created: 3, failed: 0, ready: 3 },
    })
    expect(org.status?.warnings ?? []).toEqual([])
    const tree = await readTree(cluster, ns)
    const [lead, member, helper] = ['Lead', 'Member', 'Helper'].map((name) => tree.get(name))
    expect(member?.spec.parentRef?.name).toBe(lead?.metadata.name)
    expect(helper?.spec.parentRef?.name).toBe(lead?.metadata.name)
    expect(member?.metadata.name).toMatch(/^member-[0-9a-f]{8}$/)
    const configs = (uid = '') => Object.fromEntries(backend.volumes.get(uid) ?? [])
    expect(configs(member?.metadata.uid)).toMatchObject({
      'system-prompt.md': 'You take part.',
      'notes/first.md': 'One.',
      'prompts/initial.md': 'Begin.',
    })
    expect(configs(helper?.metadata.uid)).toMatchObject({
      'system-prompt.md': 'You help.',
      'prompts/initial.md': 'Wait.',
    })
    const { rows } = await db.query('SELECT x, y FROM canvas_layouts WHERE workspace_id = $1', [member?.metadata.uid])
    expect(rows).toEqual([{ x: 16, y: 130 }])

    const before = await atRest(cluster, operator, ns, 'team')
    expect(before).toBeGreaterThan(0)
    await cluster.apply([template(ns, 'team', team), orgImport(ns, 'team', fromConfigMap('team'))])
    await onePass(cluster, ns, 'team')
    expect(await writesOf(operator)).toBe(before)
  })

  test('follows its template: only the agent whose file changed starts anew', async () => {
    const ns = await opened()
    await cluster.apply([template(ns, 'team', team), orgImport(ns, 'team', fromConfigMap('team'))])
    await settles(ns, 'team', 'Ready', 'True Settled')
    const tree = await readTree(cluster, ns)
    const uid = (name: string) => tree.get(name)?.metadata.uid ?? ''
    await cluster.apply([template(ns, 'team', { ...team, 'member/system-prompt.md': 'You matter.' })])
    await until(() => backend.volumes.get(uid('Member'))?.get('system-prompt.md') === 'You matter.', far)
    await settles(ns, 'team', 'Ready', 'True Settled')
    expect(['Lead', 'Member', 'Helper'].map((name) => backend.creates.get(uid(name)))).toEqual([1, 2, 1])
  })

  test('is completed when something of it is missing, and a node that left lives on', async () => {
    const ns = await opened()
    await cluster.apply([template(ns, 'team', team), orgImport(ns, 'team', fromConfigMap('team'))])
    await settles(ns, 'team', 'Ready', 'True Settled')
    const gone = (await readTree(cluster, ns)).get('Helper')?.metadata
    await cluster.kubectl(['delete', 'ws', gone?.name ?? '', '-n', ns, '--timeout=60s'])
    await settles(ns, 'team', 'Ready', '2 of 3 existed, 1 created / True')
    const back = (await readTree(cluster, ns)).get('Helper')?.metadata
    expect([back?.name, back?.uid === gone?.uid]).toEqual([gone?.name, false])

    const smaller = team['org.yaml'].replace(/ +- \{ name: Helper.*\n/, '')
    await cluster.apply([template(ns, 'team', { ...team, 'org.yaml': smaller })])
    const org = await settles(ns, 'team', 'Ready', '1 left the template and live on / True')
    expect(org.status?.counts).toMatchObject({ desired: 2, orphaned: 1 })
    expect((await readTree(cluster, ns)).has('Helper')).toBe(true)
  })

  test('says of a node that is on its way out what it waits for, and counts it once it is made again', async () => {
    const ns = await opened()
    const spec = { source: { inline: { name: 'Pair', workspaces: [{ name: 'A' }, { name: 'B' }] } } }
    await cluster.apply([orgImport(ns, 'pair', spec)])
    await settles(ns, 'pair', 'Ready', '0 of 2 existed, 2 created / True')
    const { name = '', uid, finalizers = [] } = (await readTree(cluster, ns)).get('B')?.metadata ?? {}
    const hold = (by: readonly string[]) => patch(cluster, ns, 'ws', name, { metadata: { finalizers: by } })
    await hold([...finalizers, 'test.example/held'])
    await cluster.kubectl(['delete', 'ws', name, '-n', ns, '--wait=false'])
    const org = await settles(ns, 'pair', 'Applied', 'False ApplyFailed')
    expect(org.status?.summary).toContain('is being deleted')
    await until(async () => {
      const { metadata } = (await readTree(cluster, ns)).get('B') ?? {}
      expect(metadata?.finalizers).toEqual(['test.example/held'])
      return true
    }, far)
    await hold([])
    await settles(ns, 'pair', 'Ready', '1 of 2 existed, 1 created / True')
    expect((await readTree(cluster, ns)).get('B')?.metadata.uid).not.toBe(uid)
  })

  test('is mended when somebody changes what the template decides', async () => {
    const ns = await opened()
    await cluster.apply([
      orgImport(ns, 'solo', { source: { inline: { name: 'Solo', workspaces: [{ name: 'A', tier: 2 }] } } }),
    ])
    await settles(ns, 'solo', 'Ready', 'True Settled')
    const name = (await readTree(cluster, ns)).get('A')?.metadata.name ?? ''
    await patch(cluster, ns, 'ws', name, { spec: { tier: 1, maxConcurrentTasks: 3 } })
    await until(async () => {
      const live = (await readTree(cluster, ns)).get('A')
      expect(live?.spec).toMatchObject({ tier: 2, maxConcurrentTasks: 3 })
      return true
    }, far)
  })

  test('of one name in two namespaces is two trees', async () => {
    const [one, two] = [await opened(), await opened()]
    for (const ns of [one, two])
      await cluster.apply([template(ns, 'team', team), orgImport(ns, 'team', fromConfigMap('team'))])
    for (const ns of [one, two]) await settles(ns, 'team', 'Ready', 'True Settled')
    const names = async (ns: string) => [...(await readTree(cluster, ns)).values()].map(({ metadata }) => metadata.name)
    expect(new Set([...(await names(one)), ...(await names(two))]).size).toBe(6)
  })

  test('of the examples comes up whole and without a warning', async () => {
    const ns = await opened()
    const files = await folder(join(import.meta.dirname, '..', '..', 'examples', 'org'))
    await cluster.apply([template(ns, 'gazette', files), orgImport(ns, 'gazette', fromConfigMap('gazette'))])
    const org = await settles(ns, 'gazette', 'Ready', 'True Settled')
    expect(org.status?.counts).toMatchObject({ desired: 9, created: 9, ready: 9 })
    expect(org.status?.warnings ?? []).toEqual([])
  })
})

describe('a deletion', () => {
  test('leaves nothing', async () => {
    const ns = await opened()
    await cluster.apply([template(ns, 'team', team), orgImport(ns, 'team', fromConfigMap('team'))])
    await settles(ns, 'team', 'Ready', 'True Settled')
    const uids = [...(await readTree(cluster, ns)).values()].map(({ metadata }) => metadata.uid)
    await cluster.kubectl(['delete', 'org', 'team', '-n', ns, '--timeout=60s'])
    expect((await readTree(cluster, ns)).size).toBe(0)
    const maps = await cluster.kubectl(['get', 'configmaps', '-n', ns, '-o', 'name'])
    expect(
      maps
        .trim()
        .split('\n')
        .filter((name) => name !== 'configmap/kube-root-ca.crt'),
    ).toEqual(['configmap/team'])
    const { rows } = await db.query('SELECT DISTINCT status FROM workspaces WHERE id = ANY($1)', [uids])
    expect(rows).toEqual([{ status: 'removed' }])
    expect(uids.filter((uid) => backend.volumes.has(uid))).toEqual([])
  })

  test('with Retain lets all of it live on, tied to nothing', async () => {
    const ns = await opened()
    const spec = { ...fromConfigMap('team'), deletionPolicy: 'Retain' }
    await cluster.apply([template(ns, 'team', team), orgImport(ns, 'team', spec)])
    await settles(ns, 'team', 'Ready', 'True Settled')
    await cluster.kubectl(['delete', 'org', 'team', '-n', ns, '--timeout=60s'])
    const tree = [...(await readTree(cluster, ns)).values()]
    expect(tree.length).toBe(3)
    expect(tree.map(({ metadata }) => [metadata.labels, metadata.ownerReferences])).toEqual(
      tree.map(() => [undefined, undefined]),
    )
    const maps = await cluster.kubectl(['get', 'configmaps', '-n', ns, '-o', 'name'])
    expect(maps).toContain('configmap/team-files-')
  })
})

describe('nothing is made of', () => {
  const bad: { what: string; files: Record<string, string>; condition: string; reason: string; text: RegExp }[] = [
    {
      what: 'YAML with a mistake',
      files: { 'org.yaml': 'workspaces:\n  - name: "A\n' },
      condition: 'TemplateParsed',
      reason: 'SyntaxError',
      text: /^org\.yaml:3:1: /,
    },
    {
      what: 'an include that is missing',
      files: {
        'org.yaml': 'workspaces:\n  - !include a.yaml\n',
        'a.yaml': 'name: A\nchildren:\n  - !include b.yaml\n',
      },
      condition: 'TemplateParsed',
      reason: 'IncludeMissing',
      text: /^a\.yaml:3:14: "b\.yaml" is not in the source \(included from org\.yaml:2:14\)$/,
    },
    {
      what: 'a field of the wrong kind',
      files: { 'org.yaml': 'workspaces:\n  - name: A\n    tier: high\n' },
      condition: 'TemplateParsed',
      reason: 'InvalidField',
      text: /^org\.yaml:3:11: workspaces\[0\]\.tier: expected number/,
    },
    {
      what: 'twins',
      files: { 'org.yaml': 'workspaces:\n  - name: A\n  - name: A\n' },
      condition: 'TemplateParsed',
      reason: 'DuplicateSibling',
      text: /^org\.yaml:3:11: workspaces\[1\]\.name: "A" stands twice among its siblings$/,
    },
    {
      what: 'a required variable that nobody gives',
      files: { 'org.yaml': 'workspaces:\n  - name: A\n    required_env: [{ any_of: [KEY, TOKEN] }]\n' },
      condition: 'EnvironmentReady',
      reason: 'RequiredEnvMissing',
      text: /KEY or TOKEN \(asked for by A\)/,
    },
  ]
  test.each(bad)('$what', async ({ files, condition, reason, text }) => {
    const ns = await opened()
    await cluster.apply([template(ns, 'bad', files), orgImport(ns, 'bad', fromConfigMap('bad'))])
    const org = await settles(ns, 'bad', condition, `False ${reason}`)
    expect(conditionOf(org.status, 'Stalled')).toBe(`True ${reason}`)
    expect(org.status?.conditions?.find(({ type }) => type === condition)?.message).toMatch(text)
    expect((await readTree(cluster, ns)).size).toBe(0)
  })
})

describe('what is missing is picked up when it comes', () => {
  test('the source', async () => {
    const ns = await opened()
    await cluster.apply([orgImport(ns, 'team', fromConfigMap('team'))])
    await settles(ns, 'team', 'SourceReady', 'False SourceMissing')
    await cluster.apply([template(ns, 'team', team)])
    await settles(ns, 'team', 'Ready', 'True Settled')
  })

  test('the right to read a namespace', async () => {
    const ns = await freshNamespace()
    await cluster.apply([template(ns, 'team', team), orgImport(ns, 'team', fromConfigMap('team'))])
    const org = await settles(ns, 'team', 'SourceReady', 'False SourceForbidden')
    const said = org.status?.conditions?.find(({ type }) => type === 'Ready')?.message
    expect(said).toContain('RoleBinding molecule-references for ClusterRole molecule-references')
    await openNamespace(ns, cluster)
    await settles(ns, 'team', 'Ready', 'True Settled')
  })

  test('a variable, which then reaches every agent and no status', async () => {
    const ns = await opened()
    const files = { 'org.yaml': 'required_env: [KEY]\nworkspaces: [{ name: A }]\n' }
    const secret = (data: Record<string, string>) => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'keys', namespace: ns },
      stringData: data,
    })
    const spec = { ...fromConfigMap('keyed'), env: { from: [{ secretRef: { name: 'keys' } }] } }
    await cluster.apply([template(ns, 'keyed', files), orgImport(ns, 'keyed', spec)])
    await settles(ns, 'keyed', 'EnvironmentReady', 'False SecretMissing')
    await cluster.apply([secret({ KEY: '', OTHER: 'unasked-for-value' })])
    const org = await settles(ns, 'keyed', 'EnvironmentReady', 'False RequiredEnvMissing')
    expect(org.status?.env?.missing).toEqual(['KEY (asked for by the template)'])
    await cluster.apply([secret({ KEY: 'secret-value', OTHER: 'unasked-for-value' })])
    const ready = await settles(ns, 'keyed', 'Ready', 'True Settled')
    const agent = (await readTree(cluster, ns)).get('A')
    expect(agent?.spec.env).toEqual([{ name: 'KEY', valueFrom: { secretKeyRef: { name: 'keys', key: 'KEY' } } }])
    expect(JSON.stringify([ready, agent])).not.toMatch(/secret-value|unasked-for-value/)
  })
})

test('a dry run plans and writes nothing', async () => {
  const ns = await opened()
  const spec = { ...fromConfigMap('team'), dryRun: true }
  await cluster.apply([template(ns, 'team', team), orgImport(ns, 'team', spec)])
  const org = await settles(ns, 'team', 'Applied', 'False DryRun')
  expect(org.status?.plan).toMatchObject({ create: 3, update: 0, delete: 0 })
  expect((await readTree(cluster, ns)).size).toBe(0)
})
