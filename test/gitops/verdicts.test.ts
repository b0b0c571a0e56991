/**
 * What kstatus, Argo CD and Flux make of real objects: one in each state that an object can stay in, as the operator left it on
 * the API server. What waits for a person says so, and never looks like work that goes on.
 */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import type { KubeObject, CommonStatus } from '../../src/api/meta.ts'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { openScene } from '../incidents/scene.ts'
import { startGitServer } from '../support/git-server.ts'
import { adminToken } from '../support/operator.ts'
import { readTree } from '../support/orgs.ts'
import { until } from '../support/until.ts'
import { conditionOf, removeRuntimes, runtime } from '../support/workspaces.ts'
import { codeBlocks, hasGo, hasLua, healthOf, judge, judgeProgram } from './judges.ts'

type Found = KubeObject<Record<string, unknown>, CommonStatus>

/** From then on agents that fall silent beat no more. */
const silence = new AbortController()
const engine = new FakeBackend({ name: 'docker', onRunning: registerAt })
const git = await startGitServer()
const scene = await openScene({
  more: [engine],
  // Agents beat every thirty seconds. Nothing is taken for silence before half of it is over.
  env: { SOURCE_HTTP_HOSTS: '127.0.0.1', SOURCE_NETWORKS: '127.0.0.0/8', LIVENESS_SILENCE: '60s' },
  // What the agent does is said in the spec of its Workspace.
  agent: (spec, ended) => {
    if (spec.env['WORKSPACE_NAME'] === 'Falls Silent') registerAt(spec, AbortSignal.any([ended, silence.signal]))
    else if (spec.env['AGENT'] === 'exits') queueMicrotask(() => scene.backend.kill(spec.ref.uid, 1))
    else if (spec.env['AGENT'] !== 'silent') registerAt(spec, ended)
  },
})
const { cluster, ns, runtimeName } = scene
const named = `${runtimeName}-named`
const halted = `${runtimeName}-halted`
const digest = (digit: string) => `sha256:${digit.repeat(64)}`

interface Event {
  readonly type: string
  readonly reason: string
  readonly regarding: { readonly name: string }
  readonly series?: { readonly count: number }
}

interface Row {
  readonly kind: 'Workspace' | 'OrgImport' | 'PluginInstall' | 'Runtime'
  readonly spec: object
  readonly metadata?: object
  /** What is done for it to become ready. */
  readonly begin?: () => Promise<unknown>
  /** What is done to it once it is ready. */
  readonly act?: (name: string) => Promise<unknown>
  /** `Ready=True Settled`, of its present generation: how it is known to have come there. */
  readonly until: string
  /** kstatus (and Flux as it comes), Argo CD, Flux with expressions. */
  readonly says: readonly [kstatus: string, argo: string, expressions: string]
}

const done = ['Current', 'Healthy', 'Current'] as const
const halt = ['Current', 'Suspended', 'Current'] as const
const underway = ['InProgress', 'Progressing', 'InProgress'] as const
const person = ['Failed', 'Degraded', 'Failed'] as const
const approval = ['Failed', 'Suspended', 'Failed'] as const

const agent = (spec: object = {}) => ({ runtime: runtimeName, ...spec })
const inline = (workspaces: object[], spec: object = {}) => ({
  source: { inline: { name: 'Org', workspaces } },
  ...spec,
})
const node = (name: string, more: object = {}) => ({ name, runtime: runtimeName, ...more })
const patch = (kind: string, name: string, body: object) =>
  cluster.kubectl(['patch', kind, name, '-n', ns, '--type=merge', '-p', JSON.stringify(body)])
const workspaceOf = async (displayName: string): Promise<string> =>
  await until(async () => (await readTree(cluster, ns)).get(displayName)?.metadata.uid, { within: 60_000 })

/** An external agent that comes to register, and is heard of this once. */
async function registerOnce(displayName: string): Promise<void> {
  const id = await workspaceOf(displayName)
  const post = (path: string, token: string, body: object) =>
    fetch(`${scene.operator().platformUrl}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  const token = await until(
    async () => {
      const minted = await post(`/admin/workspaces/${id}/tokens`, adminToken, {})
      return minted.ok ? ((await minted.json()) as { auth_token: string }).auth_token : undefined
    },
    { within: 60_000 },
  )
  const registered = await post('/registry/register', token, { id, agent_card: {}, delivery_mode: 'poll' })
  expect(registered.status).toBe(200)
  expect(await scene.beat(id, token)).toBe(200)
}

/** What ten minutes without a beat leave behind, without the wait. */
async function fallSilent(displayName: string): Promise<void> {
  silence.abort()
  const id = await workspaceOf(displayName)
  await scene.query(`UPDATE workspaces SET last_heartbeat_at = now() - interval '10 minutes' WHERE id = $1`, [id])
}
const does = (what: string) => [{ name: 'AGENT', value: what }]

const rows: Readonly<Record<string, Row>> = {
  online: { kind: 'Workspace', spec: agent(), until: 'Ready=True Settled', says: done },
  asleep: {
    kind: 'Workspace',
    spec: agent({ hibernation: { idleAfter: '1s' } }),
    until: 'Ready=True Hibernated',
    says: done,
  },
  paused: { kind: 'Workspace', spec: agent({ power: 'Paused' }), until: 'Ready=True Paused', says: halt },
  'under-paused': {
    kind: 'Workspace',
    spec: agent({ parentRef: { name: 'paused' } }),
    until: 'Ready=True Paused',
    says: halt,
  },
  expired: {
    kind: 'Workspace',
    spec: agent({ lifetime: { expiresAfter: '1s', action: 'Pause' } }),
    until: 'Ready=True Paused',
    says: halt,
  },
  'suspended-from-birth': {
    kind: 'Workspace',
    spec: agent({ suspend: true }),
    until: 'Ready=True Suspended',
    says: halt,
  },
  'suspended-later': {
    kind: 'Workspace',
    spec: agent(),
    act: (name) => patch('ws', name, { spec: { suspend: true } }),
    until: 'Ready=True Suspended',
    says: halt,
  },
  crashing: {
    kind: 'Workspace',
    spec: agent({ env: does('exits') }),
    until: 'Ready=False InstanceExited',
    says: underway,
  },
  booting: {
    kind: 'Workspace',
    spec: agent({ env: does('silent') }),
    until: 'Ready=False AwaitingRegistration',
    says: underway,
  },
  'never-came': {
    kind: 'Workspace',
    spec: { backend: 'external' },
    until: 'Ready=False AwaitingRegistration',
    says: underway,
  },
  busy: {
    kind: 'Workspace',
    spec: agent(),
    act: async (name) => {
      const { workspaceID } = (await scene.get(name)).status ?? {}
      const { token } = scene.launched.find(({ ref }) => ref.name === name) ?? {}
      const beat = { workspace_id: workspaceID, active_tasks: 1, error_rate: 0, uptime_seconds: 1 }
      await fetch(`${scene.operator().platformUrl}/registry/heartbeat`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(beat),
      })
      await until(async () => (await scene.row(workspaceID ?? ''))?.['active_tasks'] === 1)
      await patch('ws', name, { spec: { role: 'another', tier: 2 } })
    },
    until: 'Reconciling=True WaitsForIdle',
    says: ['InProgress', 'Progressing', 'Current'],
  },
  'kept-without-image': {
    kind: 'Workspace',
    spec: { runtime: named, backend: 'docker', model: 'sonnet', updateRing: 'canary' },
    act: async () => {
      engine.setImage(`test/named@${digest('b')}`, 'missing')
      await cluster.apply([namedRuntime('b')])
    },
    until: 'Stalled=True ImageUnavailable',
    says: person,
  },
  'without-image': {
    kind: 'Workspace',
    spec: { runtime: `${runtimeName}-absent`, backend: 'docker' },
    until: 'Stalled=True ImageMissing',
    says: person,
  },
  'runtime-unknown': {
    kind: 'Workspace',
    spec: { runtime: 'nope' },
    until: 'Stalled=True RuntimeUnknown',
    says: person,
  },
  'model-unknown': {
    kind: 'Workspace',
    spec: { runtime: named, model: 'nope' },
    until: 'Stalled=True ModelUnknown',
    says: person,
  },
  'secret-missing': {
    kind: 'Workspace',
    spec: agent({ envFrom: [{ secretRef: { name: 'nope' } }] }),
    until: 'Stalled=True SecretMissing',
    says: person,
  },
  'backend-unknown': {
    kind: 'Workspace',
    spec: agent({ backend: 'process' }),
    until: 'Stalled=True BackendNotConfigured',
    says: person,
  },
  'parent-missing': {
    kind: 'Workspace',
    spec: agent({ parentRef: { name: 'nope' } }),
    until: 'Stalled=True ParentMissing',
    says: person,
  },
  'nothing-to-adopt': {
    kind: 'Workspace',
    spec: agent({ adopt: { workspaceID: '99999999-2222-4333-8444-555555555555' } }),
    until: 'Stalled=True NothingToAdopt',
    says: person,
  },
  'no-container-to-adopt': {
    kind: 'Workspace',
    spec: agent({ backend: 'docker', adopt: { containerID: '0123456789ab' } }),
    until: 'Stalled=True AdoptionRefused',
    says: person,
  },
  deleting: {
    kind: 'Workspace',
    spec: agent(),
    metadata: { finalizers: ['test.example/hold'] },
    act: (name) => cluster.kubectl(['delete', 'ws', name, '-n', ns, '--wait=false']),
    until: 'being deleted',
    says: ['Terminating', 'Progressing', 'InProgress'],
  },
  'org-settled': { kind: 'OrgImport', spec: inline([node('Settled')]), until: 'Ready=True Settled', says: done },
  'org-never-came': {
    kind: 'OrgImport',
    spec: inline([node('At Home'), { name: 'Far Away', external: true }]),
    until: 'Ready=False Provisioning',
    says: underway,
  },
  'org-came-and-is-silent': {
    kind: 'OrgImport',
    spec: inline([node('Close By'), { name: 'Heard Once', external: true }]),
    begin: () => registerOnce('Heard Once'),
    act: () => fallSilent('Heard Once'),
    until: 'Ready=False Provisioning',
    says: underway,
  },
  'org-agent-offline': {
    kind: 'OrgImport',
    spec: inline([node('Goes On'), node('Falls Silent')]),
    act: () => fallSilent('Falls Silent'),
    until: 'Ready=False NodeNotReady',
    says: underway,
  },
  'org-suspended-from-birth': {
    kind: 'OrgImport',
    spec: inline([node('Hands Off')], { suspend: true }),
    until: 'Ready=True Suspended',
    says: halt,
  },
  'org-dry-run': {
    kind: 'OrgImport',
    spec: inline([node('Looked At')], { dryRun: true }),
    until: 'Ready=True DryRun',
    says: halt,
  },
  'org-plan': {
    kind: 'OrgImport',
    spec: inline([node('Asked For')], { approval: 'Manual' }),
    until: 'Stalled=True PlanBlocked',
    says: approval,
  },
  'org-prune': {
    kind: 'OrgImport',
    spec: inline([node('Stays'), node('Leaves')], { prune: 'Delete', maxDeletes: 0 }),
    act: (name) => patch('org', name, { spec: inline([node('Stays')]) }),
    until: 'PruneBlocked=True TooManyDeletes',
    says: approval,
  },
  'org-runtime-unknown': {
    kind: 'OrgImport',
    spec: inline([{ name: 'Smith', runtime: 'nope' }]),
    until: 'Stalled=True RuntimeUnknown',
    says: person,
  },
  'org-model-unknown': {
    kind: 'OrgImport',
    spec: inline([{ name: 'Turner', runtime: named, model: 'nope' }]),
    until: 'Stalled=True ModelUnknown',
    says: person,
  },
  'org-conflict': {
    kind: 'OrgImport',
    spec: inline([node('In The Way')]),
    until: 'Stalled=True Conflict',
    says: person,
  },
  'org-parent-missing': {
    kind: 'OrgImport',
    spec: inline([node('Below')], { target: { parentRef: { name: 'nope' } } }),
    until: 'Stalled=True ParentMissing',
    says: person,
  },
  'org-map-missing': {
    kind: 'OrgImport',
    spec: { source: { configMapRef: { name: 'template' } } },
    until: 'Stalled=True SourceMissing',
    says: person,
  },
  'org-repository-missing': {
    kind: 'OrgImport',
    spec: { source: { git: { url: `${git.origin}/late`, interval: '5s' } } },
    until: 'Stalled=True SourceMissing',
    says: person,
  },
  'org-variable-missing': {
    kind: 'OrgImport',
    spec: {
      source: { inline: { name: 'Org', required_env: ['API_KEY'], workspaces: [node('Keyless')] } },
    },
    until: 'Stalled=True RequiredEnvMissing',
    says: person,
  },
  'org-template-wrong': {
    kind: 'OrgImport',
    spec: inline([node('Twin'), node('Twin')]),
    until: 'Stalled=True DuplicateSibling',
    says: person,
  },
  plugin: {
    kind: 'PluginInstall',
    spec: { source: 'github://molecule/careful-bash', targets: { names: ['online'] } },
    until: 'Stalled=True NotActedOnYet',
    says: ['Failed', 'Degraded', 'Current'],
  },
  [named]: { kind: 'Runtime', spec: {}, until: 'Ready=True Resolved', says: done },
  [halted]: { kind: 'Runtime', spec: {}, until: 'Ready=True Suspended', says: halt },
}

const namedRuntime = (digit: string) =>
  runtime(named, { image: 'test/named:1', digest: digest(digit), models: [{ id: 'sonnet' }], soak: '1s' })
const runtimes = () => [
  namedRuntime('a'),
  runtime(halted, { suspend: true }),
  runtime(`${runtimeName}-absent`, { image: 'test/absent:1' }),
]

const found = new Map<string, Found>()

/**
 * Looks at all of them until each of the named ones has been seen as wanted, and keeps it as it was then: an agent that boots, or
 * is at work, does not stay so until the last of the others has come to its place.
 */
async function settle(wanted: Readonly<Record<string, string>>): Promise<void> {
  const reached = new Map<string, string>()
  await until(
    async () => {
      const { items } = (await cluster.getJson('ws,org,pi', '-n', ns)) as { items: Found[] }
      const { items: catalog } = (await cluster.getJson('runtimes')) as { items: Found[] }
      for (const object of [...items, ...catalog]) {
        const { name } = object.metadata
        const want = wanted[name]
        if (want === undefined || reached.get(name) === want) continue
        reached.set(name, standing(object, want))
        if (reached.get(name) === want) found.set(name, object)
      }
      const unmet = Object.entries(wanted).flatMap(([name, want]) =>
        reached.get(name) === want ? [] : [`${name} is ${reached.get(name) ?? 'not there'}, not ${want}`],
      )
      if (unmet.length > 0) throw new Error(unmet.join('; '))
      return true
    },
    { what: 'all to have stood as wanted', within: 120_000, every: 1000 },
  )
}

/** What is there of the condition that is wanted. */
function standing({ metadata, status }: Found, wanted: string): string {
  if (metadata.deletionTimestamp !== undefined) return 'being deleted'
  if (status?.observedGeneration !== metadata.generation) return 'not looked at'
  const [type = ''] = wanted.split('=')
  return `${type}=${conditionOf(status as never, type)}`
}

beforeAll(async () => {
  engine.setImage('test/absent:1', 'missing')
  await cluster.apply(runtimes())
  await cluster.apply([
    {
      apiVersion: 'molecule.dev/v1alpha1',
      kind: 'Workspace',
      metadata: { name: 'in-the-way', namespace: ns },
      spec: agent({ displayName: 'In The Way' }),
    },
    ...Object.entries(rows).flatMap(([name, { kind, spec, metadata }]) =>
      kind === 'Runtime'
        ? []
        : [{ apiVersion: 'molecule.dev/v1alpha1', kind, metadata: { name, namespace: ns, ...metadata }, spec }],
    ),
  ])
  for (const { begin } of Object.values(rows)) await begin?.()
  const acts = Object.entries(rows).filter(([, { act }]) => act !== undefined)
  await settle(Object.fromEntries(acts.map(([name]) => [name, 'Ready=True Settled'])))
  for (const [name, { act }] of acts) await act?.(name)
  await settle(Object.fromEntries(Object.entries(rows).map(([name, row]) => [name, row.until])))
}, 400_000)

afterAll(async () => {
  for (const { metadata } of runtimes()) {
    await removeRuntimes(cluster, metadata.name)
  }
})

const expected = (column: 0 | 1 | 2) =>
  Object.fromEntries(Object.entries(rows).map(([name, { says }]) => [name, says[column]]))

describe.skipIf(!hasGo)('with go', () => {
  beforeAll(() => judgeProgram(), 900_000)

  test('kstatus, and Flux as it comes, see what waits for a person as failed, and what was asked for and done as current', async () => {
    const verdicts = await judge([...found.values()])
    const names = [...found.keys()]
    const seen = (column: 'kstatus' | 'flux' | 'expressions') =>
      Object.fromEntries(names.map((name, i) => [name, verdicts[i]?.[column]]))
    expect(seen('kstatus')).toEqual(expected(0))
    expect(seen('flux')).toEqual(expected(0))
    expect(seen('expressions')).toEqual(expected(2))
  })
})

describe.skipIf(!hasLua)('with lua5.1', () => {
  test('Argo CD shows the health of each', async () => {
    const healths = await healthOf([...found.values()])
    expect(Object.fromEntries([...found.keys()].map((name, i) => [name, healths[i]?.status]))).toEqual(expected(1))
    const messages = Object.fromEntries([...found.keys()].map((name, i) => [name, healths[i]?.message]))
    expect(messages['org-runtime-unknown']).toContain('runtime "nope" of "Smith" is not in the catalog')
  })
})

test('the patch of argocd-cm that the page has people make holds the script whole', async () => {
  const root = join(import.meta.dirname, '..', '..')
  const [command = ''] = (await codeBlocks('bash')).map((block) => block.replace('> argocd-cm-patch.yaml', ''))
  const { stdout } = await promisify(execFile)('bash', ['-c', command], { cwd: root })
  const { data } = parse(stdout) as { data: Record<string, string> }
  const customizations = parse(data['resource.customizations'] ?? '') as Record<string, Record<string, string>>
  const script = await readFile(join(root, 'manifests', 'argocd', 'health.lua'), 'utf8')
  expect(customizations).toEqual({ 'molecule.dev/*': { 'health.lua': script } })
})

test('nothing is made of a template of which a runtime or a model is unknown', async () => {
  for (const name of ['org-runtime-unknown', 'org-model-unknown']) {
    const { uid } = found.get(name)?.metadata ?? { uid: '' }
    const { items } = (await cluster.getJson('ws', '-n', ns, '-l', `molecule.dev/org-import=${uid}`)) as { items: [] }
    expect(items).toEqual([])
  }
})

describe('what waits for a person goes on by itself once that is done', () => {
  /** Far below the ten minutes of a resync, and the minute of a look outside. */
  const soon = async (...names: string[]) => {
    const since = performance.now()
    await settle(Object.fromEntries(names.map((name) => [name, 'Ready=True Settled'])))
    expect(performance.now() - since).toBeLessThan(30_000)
  }

  test('a ConfigMap that comes', async () => {
    const data = { 'org.yaml': JSON.stringify({ name: 'Org', workspaces: [node('Late')] }) }
    const metadata = { name: 'template', namespace: ns }
    await cluster.apply([{ apiVersion: 'v1', kind: 'ConfigMap', metadata, data }])
    await soon('org-map-missing')
  })

  test('a Workspace of the same place that goes', async () => {
    await cluster.kubectl(['delete', 'ws', 'in-the-way', '-n', ns])
    await soon('org-conflict')
  })

  test('a parent that comes', async () => {
    await scene.make('nope')
    await soon('parent-missing', 'org-parent-missing')
  })

  test('a model that a Runtime is given', async () => {
    await patch('runtime', named, { spec: { models: [{ id: 'sonnet' }, { id: 'nope' }] } })
    await soon('org-model-unknown')
  })

  // Both wait for a look outside, a minute or more after the one before.
  test.concurrent('a repository that is made', async () => {
    const repository = await git.repository('late')
    await repository.commitFiles({ 'org.yaml': JSON.stringify({ name: 'Org', workspaces: [node('Committed')] }) })
    await settle({ 'org-repository-missing': 'Ready=True Settled' })
  })

  test.concurrent('an image that is pushed, without another Warning for each look until then', async () => {
    engine.setImage('test/absent:1', 'there')
    await settle({ 'without-image': 'Ready=True Settled' })
    const { items } = (await cluster.getJson('events.events.k8s.io', '-n', ns)) as { items: Event[] }
    const warnings = items.filter(({ type, regarding }) => type === 'Warning' && regarding.name === 'without-image')
    expect(warnings.map(({ reason, series }) => [reason, series?.count ?? 1])).toEqual([['ImageMissing', 1]])
  })
})

test.skipIf(!hasGo)('what is new while no operator runs is on its way', async () => {
  await scene.operator().stop()
  await scene.make('unseen')
  const [verdict] = await judge([await scene.get('unseen')])
  expect(verdict).toMatchObject({ kstatus: 'InProgress', flux: 'InProgress', expressions: 'InProgress' })
})
