/** One file, although long: each test is a spec, its surroundings and the one result of `resolve`, from the fixture below. */
import { describe, expect, test } from 'vitest'
import { resetSessionAt, restartedAt } from '../../api/meta.ts'
import { runtimeType, type Runtime } from '../../api/runtime.ts'
import { workspaceType, type Workspace } from '../../api/workspace.ts'
import { defaultTiers } from '../../backends/tiers.ts'
import { workspaceId } from '../../store/workspace-store.ts'
import { createReferences, type Found } from '../references.ts'
import { isObstacle } from './obstacle.ts'
import { ofRow, resolve, type Desired, type Settings, type Surroundings } from './resolve.ts'

const metadata = {
  uid: 'u-1',
  namespace: 'ns',
  resourceVersion: '1',
  generation: 1,
  creationTimestamp: '2026-01-01T00:00:00Z',
}
const apiVersion = 'molecule.dev/v1alpha1'
const workspace = (spec: object = {}, name = 'a', annotations: Record<string, string> = {}): Workspace =>
  workspaceType.parse({ apiVersion, kind: 'Workspace', metadata: { ...metadata, name, annotations }, spec })
const runtime = (name: string, spec: object = {}): Runtime =>
  runtimeType.parse({
    apiVersion,
    kind: 'Runtime',
    metadata: { ...metadata, name },
    spec: { image: 'agents/it:1', ...spec },
  })
const data = (values: Record<string, string>): Found => ({
  state: 'found',
  keys: Object.keys(values).sort(),
  value: (key) => (values[key] === undefined ? undefined : Buffer.from(values[key])),
})
const settings: Settings = {
  deploymentMode: 'self-hosted',
  defaultBackend: 'docker',
  backends: new Set(['docker', 'external']),
  platformUrl: 'http://operator:8080',
  tiers: defaultTiers,
}
const around = (
  runtimes: readonly Runtime[] = [runtime('it', { default: true })],
  objects: Record<string, Found> = {},
): Surroundings => ({
  runtimes: new Map(runtimes.map((each) => [each.metadata.name, each])),
  sibling: () => undefined,
  look: (kind, name) => objects[`${kind}/${name}`] ?? { state: 'missing' },
  catalog: { namespace: 'home', look: (name) => objects[`home/${name}`] ?? { state: 'missing' } },
  quotaExceeded: undefined,
})

function desired(spec: object, surroundings = around(), annotations: Record<string, string> = {}): Desired {
  const result = resolve(workspace(spec, 'a', annotations), surroundings, settings)
  if (isObstacle(result)) throw new Error(result.message)
  return result
}
const obstacle = (spec: object, surroundings = around()) => resolve(workspace(spec), surroundings, settings)
const rowOf = (uid: string, parentId?: string, legacy = false) => ({
  legacy,
  id: workspaceId(uid),
  parentId: parentId === undefined ? undefined : workspaceId(parentId),
})
const hashOf = (...given: Parameters<typeof desired>) => desired(...given).intent.specHash

describe('defaults', () => {
  test('tier by deployment mode, model by runtime and never empty', () => {
    expect(desired({}).intent).toMatchObject({ tier: 3, model: 'anthropic:claude-opus-4-7', backend: 'docker' })
    const saas = resolve(workspace(), around(), { ...settings, deploymentMode: 'saas' })
    expect(saas).toMatchObject({ intent: { tier: 4 } })
    expect(desired({ runtime: 'claude-code' }, around([runtime('claude-code')])).intent.model).toBe('sonnet')
    const said = around([runtime('it', { default: true, defaultModel: 'small' })])
    expect(desired({}, said).intent.model).toBe('small')
    expect(desired({ model: 'large' }, said).intent.model).toBe('large')
  })

  test('a way onto the host is given to the namespaces that the tier names, and withheld from all others', () => {
    const open = { ...defaultTiers[3], hostAccess: ['EngineSocket'] as const }
    const of = (namespaces: string[], tier = 3) =>
      resolve(workspace({ tier }), around(), {
        ...settings,
        tiers: { ...defaultTiers, [tier]: { ...open, namespaces } },
      })
    const { memoryBytes, cpus, pids, readOnlyRoot } = open
    const limits = { memoryBytes, cpus, pids, readOnlyRoot }
    expect(of(['ops', 'ns'])).toMatchObject({
      withheld: [],
      instance: { limits: { ...limits, hostAccess: ['EngineSocket'] } },
    })
    for (const others of [[], ['ops'], ['n', 'ns-2', '']])
      expect(of(others)).toMatchObject({
        withheld: ['EngineSocket'],
        instance: { limits: { ...limits, hostAccess: [] } },
      })
    expect(of(['ns'], 4)).toMatchObject({ withheld: ['Privileged', 'HostPID', 'HostNetwork'] })
    expect(desired({ tier: 4 }).withheld).toHaveLength(4)
    expect(desired({ tier: 3 }).withheld).toEqual([])
    // Order and names go into the hash of what runs since before tiers named namespaces.
    expect(JSON.stringify(desired({ tier: 3 }).instance.limits)).toBe(JSON.stringify({ ...limits, hostAccess: [] }))
    // The hash is of what it runs with: a list that names other namespaces replaces nothing.
    expect(of(['ops'])).toMatchObject({ intent: { specHash: desired({ tier: 3 }).intent.specHash } })
  })

  test('an external agent needs no runtime, and no variables of one', () => {
    expect(desired({ backend: 'external' }, around([])).intent).toMatchObject({
      runtime: 'external',
      initialPhase: 'awaiting_agent',
    })
  })

  test('a pinned image is run by digest, without its tag', () => {
    const digest = `sha256:${'a'.repeat(64)}`
    const pinned = around([runtime('it', { default: true, image: 'host:5000/agents/it:1', digest })])
    expect(desired({}, pinned).instance.image).toBe(`host:5000/agents/it@${digest}`)
  })
})

describe('what replaces an instance', () => {
  const keys = (value: string) => around(undefined, { 'Secret/keys': data({ KEY: value }) })
  const asks = { env: [{ name: 'KEY', valueFrom: { secretKeyRef: { name: 'keys', key: 'KEY' } } }] }

  test('names, places and positions do not', () => {
    const plain = hashOf({})
    expect(hashOf({ displayName: 'Another', canvas: { x: 1, y: 2 }, maxConcurrentTasks: 3 })).toBe(plain)
    const env = [
      { name: 'A', value: '1' },
      { name: 'B', value: '2' },
    ]
    expect(hashOf({ env })).toBe(hashOf({ env: env.toReversed() }))
  })

  test('sessions that a runtime keeps do, and one that keeps none has the hash that it always had', () => {
    const keeping = around([runtime('it', { default: true, sessionsPath: '/sessions' })])
    const reset = { [resetSessionAt]: '1' }
    expect(hashOf({}, around(), reset)).toBe(hashOf({}))
    expect(hashOf({})).toBe('80f14a946209f5994f2dc243fdeb3bd5.3bb46422766c.')
    expect(hashOf({}, keeping)).not.toBe(hashOf({}))
    expect(hashOf({}, keeping, reset)).toMatch(new RegExp(`^${hashOf({}, keeping)}[.][0-9a-f]{12}$`))
    expect(desired({}, keeping).instance.sessionsPath).toBe('/sessions')
    expect(desired({}, keeping).noSessions).toBeUndefined()
    expect(desired({}).noSessions).toMatch(/^runtime "it" keeps no sessions/)
    expect(desired({ tier: 1 }, keeping).noSessions).toMatch(/^an agent of tier 1 keeps no sessions/)
    expect(desired({ backend: 'external' }, keeping).noSessions).toMatch(/^the agent is run by its owner/)
  })

  test('model, tier, role, image, environment, secrets and a restart do', () => {
    const newer = around([runtime('it', { default: true, image: 'agents/it:2' })])
    const hashes = [
      hashOf({}),
      hashOf({ model: 'other' }),
      hashOf({ tier: 1 }),
      hashOf({ role: 'other' }),
      hashOf({}, newer),
      hashOf({ env: [{ name: 'A', value: '1' }] }),
      hashOf(asks, keys('1')),
      hashOf(asks, keys('2')),
      hashOf({}, around(), { [restartedAt]: '1' }),
    ]
    expect(new Set(hashes).size).toBe(hashes.length)
  })
})

describe('a template', () => {
  const writer = data({ 'config.yaml': 'runtime: it\n', 'prompts__idle.md': 'Tidy up.', 'a.md': 'template' })
  const objects = {
    'ConfigMap/writer': writer,
    'home/writer': data({ 'home.md': 'home' }),
    'ConfigMap/own': data({ k: 'spec' }),
  }
  const own = { template: { ref: 'configmap/writer' } }
  const files = (given: Desired) =>
    Object.fromEntries(given.instance.files.map(({ path, content }) => [path, Buffer.from(content).toString()]))

  test('of the namespace gives files that go before generated ones and behind those of the spec', () => {
    const found = desired(own, around(undefined, objects))
    expect(files(found)).toEqual({ 'config.yaml': 'runtime: it\n', 'prompts/idle.md': 'Tidy up.', 'a.md': 'template' })
    expect(found.template).toMatchObject({
      source: 'ConfigMap ns/writer',
      revision: expect.stringMatching(/^[0-9a-f]{12}$/),
    })
    const over = { ...own, files: [{ path: 'a.md', configMapKeyRef: { name: 'own', key: 'k' } }] }
    expect(files(desired(over, around(undefined, objects)))).toMatchObject({
      'a.md': 'spec',
      'prompts/idle.md': 'Tidy up.',
    })
  })

  test('of a runtime is one of the operator, for workspaces that name none, whatever their namespace has', () => {
    const runtimes = [runtime('it', { default: true, template: { ref: 'configmap/writer' } })]
    const found = desired({}, around(runtimes, objects))
    expect(files(found)).toMatchObject({ 'home.md': 'home' })
    expect(files(found)).not.toHaveProperty('a.md')
    expect(found.template?.source).toBe('ConfigMap home/writer')
    expect(files(desired(own, around(runtimes, objects)))).not.toHaveProperty('home.md')
  })

  test('is in the hash with what of it is used, and a mere name is as it was', () => {
    const withA = (text: string) => around(undefined, { ...objects, 'ConfigMap/writer': data({ 'a.md': text }) })
    const over = { ...own, files: [{ path: 'a.md', configMapKeyRef: { name: 'own', key: 'k' } }] }
    expect(hashOf(own, withA('1'))).not.toBe(hashOf(own, withA('2')))
    expect(hashOf(over, withA('1'))).toBe(hashOf(over, withA('2')))
    expect(hashOf({ template: { ref: 'writer' } }, withA('1'))).toBe(hashOf({ template: { ref: 'writer' } }, around()))
    expect(desired({ template: { ref: 'writer' } }, withA('1')).template).toBeUndefined()
  })

  test.each([
    [{}, 'TemplateUnknown', 'spec.template.ref needs ConfigMap "writer", which does not exist in namespace ns'],
    [
      { 'ConfigMap/writer': { state: 'forbidden' } as const },
      'ConfigMapForbidden',
      'may not read ConfigMaps in namespace ns',
    ],
    [{ 'ConfigMap/writer': data({ a____b: '' }) }, 'TemplateUnknown', 'key "a____b" of ConfigMap "writer" is no path'],
    [{ 'ConfigMap/writer': data({ 'CLAUDE.md': '' }) }, 'AgentOwnedPath', 'ConfigMap ns/writer has CLAUDE.md'],
    [{ 'ConfigMap/writer': data({ '.auth_token': '' }) }, 'AgentOwnedPath', 'ConfigMap ns/writer has .auth_token'],
    [
      { 'ConfigMap/writer': data({ 'config.yaml': 'runtime: other' }) },
      'SeedMismatch',
      'ConfigMap ns/writer[config.yaml]',
    ],
  ])('that cannot be used is told: %j', (found, reason, words) => {
    expect(obstacle(own, around(undefined, found))).toMatchObject({ reason, message: expect.stringContaining(words) })
  })

  test('whose name is none is told, and one that is not read yet is waited for', () => {
    expect(obstacle({ template: { ref: 'configmap/No Such' } })).toMatchObject({ reason: 'TemplateUnknown' })
    const syncing = around(undefined, { 'ConfigMap/writer': { state: 'syncing' } })
    expect(obstacle(own, syncing)).toMatchObject({ reason: 'Waiting', waits: true })
  })
})

describe('environment', () => {
  test('later sources win, and nobody can speak for another agent', () => {
    const objects = { 'Secret/s': data({ A: 'secret', B: 'secret' }), 'ConfigMap/c': data({ B: 'map', C: 'map' }) }
    const spec = {
      envFrom: [{ secretRef: { name: 's' } }, { configMapRef: { name: 'c' } }],
      env: [
        { name: 'C', value: 'own' },
        { name: 'WORKSPACE_ID', value: 'someone-else' },
        { name: 'PLATFORM_URL', value: 'http://evil' },
      ],
    }
    const { instance, redact } = ofRow(desired(spec, around(undefined, objects)), rowOf('u-1'))
    expect(instance.env).toMatchObject({ A: 'secret', B: 'map', C: 'own', WORKSPACE_ID: 'u-1' })
    expect(instance.env['PLATFORM_URL']).toBe('http://operator:8080')
    expect(redact('A=secret B=map')).toBe('A=[redacted] B=map')
  })

  test.each(['toString', 'constructor', '__proto__', 'valueOf'])('"%s" is a name like any other', (name) => {
    const references = createReferences(() => ({
      state: 'found',
      object: {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { ...metadata, name: 's' },
        spec: undefined,
        data: { A: 'YQ==' },
      },
    }))
    const secret = references.look('Secret', 'ns', 's')
    const refers = { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: name } } }] }
    expect(obstacle(refers, around(undefined, { 'Secret/s': secret }))).toMatchObject({
      reason: 'KeyMissing',
      message: expect.stringContaining(`needs key "${name}"`),
    })
    const asking = around([runtime('it', { default: true, requiredEnv: [name] })])
    expect(obstacle({}, asking)).toMatchObject({ reason: 'RequiredEnvMissing' })
    const given = desired({ env: [{ name, value: 'v' }] }, asking)
    expect(Object.entries(given.instance.env)).toContainEqual([name, 'v'])
  })

  test.each([
    [undefined, true, 'SecretForbidden'],
    [{ 'molecule.dev/for-agents': 'no' }, true, 'SecretForbidden'],
    [{ 'molecule.dev/for-agents': 'true' }, true, undefined],
    [undefined, false, undefined],
  ])(
    'where labels are asked for, a Secret with %j is given out only if it is meant for agents',
    (labels, asked, reason) => {
      const object = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { ...metadata, name: 's', ...(labels && { labels }) },
        spec: undefined,
        data: { A: 'YQ==' },
      }
      const references = createReferences(() => ({ state: 'found', object }), asked)
      const objects = { 'Secret/s': references.look('Secret', 'ns', 's') }
      const found = obstacle({ envFrom: [{ secretRef: { name: 's' } }] }, around(undefined, objects))
      expect(isObstacle(found) ? found.reason : undefined).toBe(reason)
      // The setting is of Secrets.
      expect(references.look('ConfigMap', 'ns', 's').state).toBe('found')
    },
  )

  test('every lack is named at once, and an optional one is none', () => {
    const spec = {
      envFrom: [{ secretRef: { name: 'x' } }, { secretRef: { name: 'y', optional: true } }],
      env: [{ name: 'K', valueFrom: { configMapKeyRef: { name: 'z', key: 'k' } } }],
    }
    const result = obstacle(spec)
    expect(result).toMatchObject({ condition: 'Launched', reason: 'SecretMissing', waits: false })
    expect(isObstacle(result) && result.message).toMatch(/Secret "x".*ConfigMap "z"/)
    expect(isObstacle(result) && result.message).not.toContain('"y"')
  })

  test('what the runtime needs is asked for before anything is made; a model may need something else', () => {
    const needy = around([
      runtime('it', {
        default: true,
        requiredEnv: ['KEY'],
        models: [{ id: 'm' }, { id: 'free', requiredEnv: ['OTHER'] }],
      }),
    ])
    expect(obstacle({ model: 'm' }, needy)).toMatchObject({ reason: 'RequiredEnvMissing' })
    expect(desired({ model: 'free', env: [{ name: 'OTHER', value: '1' }] }, needy).intent.model).toBe('free')
    expect(obstacle({ model: 'unheard-of' }, needy)).toMatchObject({ reason: 'ModelUnknown' })
    const env = [{ name: 'KEY', value: '1' }]
    expect(desired({ model: 'unheard-of', env }, needy).unlaunchable).toMatchObject({ reason: 'ModelUnknown' })
    expect(desired({ model: 'm', env }, needy).unlaunchable).toBeUndefined()
    const reading: Surroundings = { ...needy, look: () => ({ state: 'syncing' }) }
    const from = [{ secretRef: { name: 's' } }]
    expect(obstacle({ model: 'm', envFrom: from }, reading)).toMatchObject({ reason: 'Waiting', unread: true })
    expect(obstacle({ model: 'unheard-of', envFrom: from }, reading)).toMatchObject({ unread: true })
  })
})

describe('the way up', () => {
  const chain = (parents: Record<string, string>): Surroundings => ({
    ...around(),
    sibling: (name) =>
      parents[name] === undefined ? undefined : workspace({ parentRef: { name: parents[name] } }, name),
  })

  test('a cycle is named; one further up is its own members’ matter', () => {
    const cyclic = resolve(workspace({ parentRef: { name: 'b' } }), chain({ b: 'c', c: 'a' }), settings)
    expect(cyclic).toMatchObject({ reason: 'ParentCycle', waits: false })
    expect(isObstacle(cyclic) && cyclic.message).toContain('a → b → c → a')
    const above = resolve(workspace({ parentRef: { name: 'x' } }), chain({ x: 'y', y: 'x' }), settings)
    expect(isObstacle(above)).toBe(false)
  })

  test('two default runtimes are one too many', () => {
    const two = around([runtime('one', { default: true }), runtime('two', { default: true })])
    expect(obstacle({}, two)).toMatchObject({ reason: 'AmbiguousDefaultRuntime' })
    expect(obstacle({}, around([runtime('one')]))).toMatchObject({ reason: 'NoDefaultRuntime' })
  })
})

describe('whose credentials an agent gets', () => {
  const secret = { 'Secret/keys': data({ GITHUB_TOKEN: 'gh-secret', OTHER: 'x' }) }
  const whole = { envFrom: [{ secretRef: { name: 'keys' } }] }

  test('a token of a code host only where its author named it', () => {
    expect(desired(whole, around(undefined, secret)).instance.env).toMatchObject({ OTHER: 'x' })
    expect(desired(whole, around(undefined, secret)).instance.env).not.toHaveProperty('GITHUB_TOKEN')
    const named = {
      env: [{ name: 'GITHUB_TOKEN', valueFrom: { secretKeyRef: { name: 'keys', key: 'GITHUB_TOKEN' } } }],
    }
    expect(desired(named, around(undefined, secret)).instance.env).toMatchObject({ GITHUB_TOKEN: 'gh-secret' })
  })

  test('a credential of the operators stops it before any side effect, and its value is not told', () => {
    const leak = { 'Secret/keys': data({ CP_ADMIN_API_TOKEN: 'root-of-all', HETZNER_KEY: 'h' }) }
    const found = obstacle(whole, around(undefined, leak))
    expect(found).toMatchObject({ condition: 'Launched', reason: 'ForbiddenKey', waits: false })
    expect(JSON.stringify(found)).toMatch(/CP_ADMIN_API_TOKEN.*HETZNER_KEY/)
    expect(JSON.stringify(found)).not.toContain('root-of-all')
  })

  test('an identity to git, unless the environment says otherwise', () => {
    expect(desired({ displayName: 'The Lead' }).instance.env).toMatchObject({
      GIT_AUTHOR_NAME: 'Molecule AI The Lead',
      GIT_COMMITTER_EMAIL: 'the-lead@agents.moleculesai.app',
    })
    const own = { env: [{ name: 'GIT_AUTHOR_NAME', value: 'Somebody' }] }
    expect(desired(own).instance.env).toMatchObject({ GIT_AUTHOR_NAME: 'Somebody' })
  })

  test('no spec can make an agent speak for another, or to another operator', () => {
    const forged = {
      env: [
        { name: 'WORKSPACE_ID', value: 'u-2' },
        { name: 'PARENT_ID', value: 'u-3' },
        { name: 'PLATFORM_URL', value: 'http://elsewhere' },
      ],
    }
    const { env } = ofRow(desired(forged), rowOf('u-1')).instance
    expect(env).toMatchObject({ WORKSPACE_ID: 'u-1', PLATFORM_URL: 'http://operator:8080' })
    expect(env).not.toHaveProperty('PARENT_ID')
  })

  test('a parent is known by its object, never by the row that it asks for', () => {
    const victim = '11111111-2222-4333-8444-555555555555'
    const decoy = { ...workspace({ adopt: { workspaceID: victim } }, 'decoy') }
    decoy.metadata = { ...decoy.metadata, uid: 'u-decoy' }
    const child = desired({ parentRef: { name: 'decoy' } }, { ...around(), sibling: () => decoy })
    expect(child.intent.parentOwnerUid).toBe('u-decoy')
    expect(JSON.stringify(child.intent)).not.toContain(victim)
    expect(ofRow(child, rowOf('u-1', 'row-of-decoy')).instance.env['PARENT_ID']).toBe('row-of-decoy')
    const gone = desired({ parentRef: { name: 'decoy' } })
    expect(ofRow(gone, rowOf('u-1', 'kept')).instance.env).not.toHaveProperty('PARENT_ID')
  })
})

describe('a seed', () => {
  const files = [{ path: 'config.yaml', configMapKeyRef: { name: 'seed', key: 'c' } }]
  const seed = (text: string) => around(undefined, { 'ConfigMap/seed': data({ c: text }) })

  test('of another runtime is refused; of this one it takes the place of the generated config', () => {
    expect(obstacle({ files }, seed('runtime: other\n'))).toMatchObject({ reason: 'SeedMismatch', waits: false })
    const own = desired({ files }, seed('runtime: it\n')).instance.files.filter(({ path }) => path === 'config.yaml')
    expect(own.map(({ content }) => Buffer.from(content).toString())).toEqual(['runtime: it\n'])
  })
})

test('an image is no matter of a backend that runs none', () => {
  const on = (image: string) =>
    resolve(workspace({ backend: 'external' }), around([runtime('it', { default: true, image })]), settings)
  expect(on('a:1')).toMatchObject({ image: undefined })
  expect(JSON.stringify(on('a:1'))).toBe(JSON.stringify(on('b:2')).replaceAll('b:2', 'a:1'))
})

test('only a row that came from the system before gives its id to what the instance before kept', () => {
  const workspaceID = '11111111-2222-4333-8444-555555555555'
  const adopted = (adopt: object | undefined, legacy: boolean) =>
    ofRow(desired({ runtime: 'it', ...(adopt && { adopt }) }), rowOf(workspaceID, undefined, legacy)).instance.adopted
  expect(adopted(undefined, true)).toBeUndefined()
  expect(adopted({ containerID: '0123456789ab' }, true)).toEqual({})
  expect(adopted({ workspaceID }, true)).toEqual({ row: workspaceID })
  expect(adopted({ workspaceID }, false)).toEqual({})
  expect(adopted({ workspaceID, policy: 'AdoptOrCreate' }, true)).toEqual({})
})

test('no spec chooses the id of a row, and an instance of EC2 is not replaced by another', () => {
  const adopt = { workspaceID: '11111111-2222-4333-8444-555555555555', policy: 'AdoptOrCreate' }
  expect(desired({ adopt }).intent).toMatchObject({ id: 'u-1', adopts: adopt.workspaceID })
  for (const policy of ['AdoptOnly', 'AdoptOrCreate'])
    expect(obstacle({ adopt: { instanceID: 'i-0123456789abcdef0', policy } })).toMatchObject({
      reason: 'BackendNotConfigured',
      waits: false,
    })
})
