/** Every rule of every kind, with a value that breaks it alone, and the words in which a person is told. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { StructuralSchema } from '../../src/api/structural.ts'
import { controlPlane, namespace } from '../support/cluster.ts'
import {
  kindNames,
  kinds,
  least,
  objectOf,
  requests,
  schemaOf,
  type Requests,
  type Json,
  type Kind,
} from './requests.ts'

const home = await namespace()
let api: Requests
beforeAll(async () => {
  api = await requests(home, controlPlane().kubeconfig)
})
afterAll(() => api.close())

type Case = readonly [kind: Kind, field: string, spec: Json, message: string]

const ref = { name: 'x' }
const key = { name: 'x', key: 'y' }
const file = (path: string) => ({ files: [{ path, configMapKeyRef: key }] })
const schedule = (cron: string) => ({ schedules: [{ name: 'daily', prompt: 'Report.', cron }] })
const org = (spec: Json) => ({ ...least.OrgImport, ...spec })
const git = (more: Json) => org({ source: { git: { url: 'https://git.example/a/b', ...more } } })
const plugin = (more: Json) => ({ ...least.PluginInstall, ...more })
const selector = (rule: Json) => plugin({ targets: { selector: { matchExpressions: [rule] } } })
const runtime = (more: Json) => ({ ...least.Runtime, ...more })
const digest = `sha256:${'a'.repeat(64)}`

const invisible = 'control or text-direction characters'
const cases: readonly Case[] = [
  ['Workspace', 'spec.displayName', { displayName: 'two\nlines' }, `must be one line without ${invisible}`],
  ['Workspace', 'spec.displayName', { displayName: 'gnp\u202e.exe' }, `must be one line without ${invisible}`],
  ['Workspace', 'spec.displayName', { displayName: 'a\u0000b' }, `must be one line without ${invisible}`],
  ['Workspace', 'spec.displayName', { displayName: ' Ada' }, 'must not be blank, nor begin or end with a blank'],
  ['Workspace', 'spec.displayName', { displayName: ' ' }, 'must not be blank, nor begin or end with a blank'],
  ['Workspace', 'spec.role', { role: 'does\u001b[2Jthings' }, `must not contain ${invisible}`],
  ['Workspace', 'spec.role', { role: 'does \u2066things' }, `must not contain ${invisible}`],
  ['Workspace', 'spec.workspaceDir', { workspaceDir: 'srv/x' }, 'must be an absolute path'],
  ['Workspace', 'spec.workspaceDir', { workspaceDir: '/srv/x:/etc' }, 'must be an absolute path'],
  ['Workspace', 'spec.workspaceDir', { workspaceDir: '/srv/../etc' }, 'must be written out'],
  ['Workspace', 'spec.workspaceDir', { workspaceDir: '/srv/./x' }, 'must be written out'],
  ['Workspace', 'spec.workspaceDir', { workspaceDir: '//srv' }, 'must be written out'],
  ...['etc', 'var', 'proc', 'sys', 'dev', 'boot', 'sbin', 'bin', 'lib', 'usr'].map((folder): Case => [
    'Workspace',
    'spec.workspaceDir',
    { workspaceDir: `/${folder}/x` },
    'must not be in a folder of the system',
  ]),
  ['Workspace', 'spec', { workspaceAccess: 'read_only' }, 'workspaceAccess needs workspaceDir'],
  ['Workspace', 'spec', { workspaceDir: '/srv/x', backend: 'process' }, 'workspaceDir is for backend docker only'],
  ['Workspace', 'spec', { compute: {}, backend: 'docker' }, 'compute is for backend ec2 only'],
  ['Workspace', 'spec.env[0]', { env: [{ name: 'A', value: '', valueFrom: { secretKeyRef: key } }] }, 'not both'],
  ['Workspace', 'spec.env[0].valueFrom', { env: [{ name: 'A', valueFrom: {} }] }, 'give exactly one of secretKeyRef'],
  [
    'Workspace',
    'spec.envFrom[0]',
    { envFrom: [{ secretRef: ref, configMapRef: ref }] },
    'give exactly one of secretRef',
  ],
  ['Workspace', 'spec.files[0].path', file('/etc/passwd'), 'must be a path below /configs'],
  ['Workspace', 'spec.files[0].path', file('a/../../b'), 'must be a path below /configs'],
  ['Workspace', 'spec.files[0].path', file('a//b'), 'must be a path below /configs'],
  ['Workspace', 'spec.files[0].path', file('a\\b'), 'must be a path below /configs'],
  ['Workspace', 'spec.files[0].path', file('.auth_token'), 'this file is written by the operator'],
  ['Workspace', 'spec.schedules[0].cron', schedule('@daily-or-so'), 'must have five fields'],
  ['Workspace', 'spec.schedules[0].cron', schedule('0 0 9 * * 1-5'), 'must have five fields'],
  ['Workspace', 'spec.hibernation.idleAfter', { hibernation: { idleAfter: '0m' } }, 'must be longer than nothing'],
  [
    'Workspace',
    'spec.lifetime.expiresAfter',
    { lifetime: { expiresAfter: '999999d' } },
    'at most five digits a number',
  ],
  [
    'Workspace',
    'spec.categoryRouting',
    { categoryRouting: { 'a\nb': [] } },
    'keys must be lines of 1 to 255 characters',
  ],
  ['OrgImport', 'spec.renames', org({ renames: { '': 'a' } }), 'keys must be lines of 1 to 2048 characters'],
  ['PluginInstall', 'spec.interval', plugin({ interval: '0s' }), 'must be longer than nothing'],
  ['Workspace', 'spec.adopt', { adopt: {} }, 'give exactly one of workspaceID, instanceID, containerID'],
  ['OrgImport', 'spec.source', { source: {} }, 'give exactly one of inline, configMapRef, git, sourceRef'],
  ['OrgImport', 'spec.source', { source: { inline: { name: 'A' }, configMapRef: ref } }, 'give exactly one of inline'],
  ['OrgImport', 'spec.source.inline.name', { source: { inline: { name: 'A\nB' } } }, 'must be one line'],
  ['OrgImport', 'spec.source.git.url', { source: { git: { url: 'git@git.example:a/b' } } }, 'must begin with https://'],
  ['OrgImport', 'spec.source.git.url', { source: { git: { url: 'https://u:p@git.example/a' } } }, 'no user name'],
  ...['http://git.example/a', 'https://u:p@git.example/a', 'https://git.example/a/../b', 'https://git.example/a?b'].map(
    (prefix) =>
      [
        'OrgImport',
        'spec.source.git.credentialsFor[0]',
        git({ credentialsFor: [prefix] }),
        'https://[a-z0-9]',
      ] as const,
  ),
  ['OrgImport', 'spec.source.git.ref', git({ ref: { branch: 'main', tag: 'v1' } }), 'give exactly one of branch'],
  ['OrgImport', 'spec.source.git.path', git({ path: '../up' }), 'must be a path inside the repository'],
  ['OrgImport', 'spec.source.git.path', git({ path: '/up' }), 'must be a path inside the repository'],
  ['OrgImport', 'spec.env.from[0]', org({ env: { from: [{}] } }), 'give exactly one of secretRef, configMapRef'],
  ['OrgImport', 'spec.exclude[0]', org({ exclude: ['a\u202eb'] }), `must be one line without ${invisible}`],
  ['PluginInstall', 'spec.source', plugin({ source: 'github://a/b#main' }), 'must be scheme://path, or a bare name'],
  ['PluginInstall', 'spec.source', plugin({ source: 'https://u:p@a/b' }), 'must be scheme://path, or a bare name'],
  ['PluginInstall', 'spec.targets', plugin({ targets: { names: [] } }), 'name at least one workspace'],
  [
    'PluginInstall',
    'spec.targets.selector.matchExpressions[0]',
    selector({ key: 'a', operator: 'In' }),
    'In and NotIn need values',
  ],
  [
    'PluginInstall',
    'spec.targets.selector.matchExpressions[0]',
    selector({ key: 'a', operator: 'Exists', values: ['b'] }),
    'Exists and DoesNotExist take none',
  ],
  [
    'PluginInstall',
    'spec',
    plugin({ updatePolicy: 'Off', approvedRevision: 'a'.repeat(40) }),
    'approvedRevision is for updatePolicy Manual only',
  ],
  [
    'Workspace',
    'spec.lifetime',
    { lifetime: { expiresAfter: '1h', expiresAt: '2030-01-01T00:00:00Z' } },
    'give exactly one of expiresAfter, expiresAt',
  ],
  ['Runtime', 'spec', runtime({ image: `a@${digest}`, digest }), 'image has a digest already'],
  ['Runtime', 'spec.image', runtime({ image: 'Team/Agent:1' }), 'must be an image name in lower case'],
  ['Runtime', 'spec.image', runtime({ image: 'r.io/Agent:1' }), 'must be an image name in lower case'],
  ['Runtime', 'spec.sessionsPath', runtime({ sessionsPath: '/configs/sessions' }), 'must be an absolute path'],
  ['Runtime', 'spec.sessionsPath', runtime({ sessionsPath: '/home/../etc' }), 'must be an absolute path'],
  ['Runtime', 'spec', runtime({ requireDigest: true }), 'requireDigest needs digest'],
  ['Runtime', 'spec', runtime({ defaultModel: 'x', models: [{ id: 'y' }] }), 'defaultModel must be one of models'],
]

describe('a value that breaks one rule is refused with its field and what to do', () => {
  test.each(cases)('%s %s %j: %s', async (kind, field, spec, message) => {
    const answer = await api.create(objectOf(kind, 'x', spec))
    expect(answer).toMatchObject({ refused: true, code: 422 })
    expect(answer.refused && answer.message).toContain(`${field}: Invalid value`)
    expect(answer.refused && answer.message).toContain(message)
  })

  test.each(cases)('the run-time check agrees: %s %s %j', (kind, field, spec, message) => {
    const told = kinds[kind].spec
      .safeParse(spec)
      .error?.issues.map((issue) => `${['spec', ...issue.path.map(String)].join('.')}: ${issue.message}`)
    expect(told?.join('\n')).toContain(`${field.replaceAll(/\[(\d+)\]/g, '.$1')}: `)
    expect(told?.join('\n')).toContain(message)
  })
})

describe('names', () => {
  const label = 'must be a DNS label'
  test.each([
    ['Workspace', 'a.b', label],
    ['Runtime', 'a.b', label],
    ['Workspace', 'a'.repeat(64), 'metadata.name: Too long'],
    ['Workspace', 'A', 'metadata.name: Invalid value: a lowercase'],
  ] as const)('%s named %s is refused', async (kind, name, message) => {
    const answer = await api.create(objectOf(kind, name, least[kind]))
    expect(answer.refused && answer.message).toContain(message)
  })

  test('nobody is their own parent', async () => {
    const answer = await api.create(objectOf('Workspace', 'ada', { parentRef: { name: 'ada' } }))
    expect(answer.refused && answer.message).toContain('spec.parentRef.name: Invalid value')
    expect(answer.refused && answer.message).toContain('nobody reports to themselves')
  })
})

/** Each change of a stored object that is refused, and, beside it, one of the same field that must pass. */
const transitions: readonly (readonly [Kind, before: Json, change: Json, message: string])[] = [
  ['Workspace', { backend: 'docker' }, { backend: 'process' }, 'backend cannot change'],
  ['Workspace', { backend: 'docker' }, { backend: null }, 'backend cannot change'],
  ['Workspace', {}, { backend: 'docker' }, 'backend cannot change'],
  ['Workspace', { adopt: { containerID: 'a'.repeat(12) } }, { adopt: { containerID: 'b'.repeat(12) } }, 'adopt cannot'],
  ['Workspace', { adopt: { containerID: 'a'.repeat(12) } }, { adopt: { policy: 'AdoptOrCreate' } }, 'adopt cannot'],
  ['Workspace', { adopt: { containerID: 'a'.repeat(12) } }, { adopt: null }, 'adopt cannot change'],
  ['Workspace', {}, { adopt: { containerID: 'a'.repeat(12) } }, 'adopt cannot change'],
  ['OrgImport', org({}), { target: { parentRef: ref } }, 'target.parentRef cannot change'],
  ['OrgImport', org({ target: { parentRef: ref } }), { target: null }, 'target.parentRef cannot change'],
  [
    'OrgImport',
    org({ target: { parentRef: ref } }),
    { target: { parentRef: { name: 'y' } } },
    'target.parentRef cannot',
  ],
  ['PluginInstall', plugin({}), { pluginName: 'other' }, 'pluginName cannot change'],
  ['PluginInstall', plugin({ pluginName: 'one' }), { pluginName: 'other' }, 'pluginName cannot change'],
  ['PluginInstall', plugin({ pluginName: 'one' }), { pluginName: null }, 'pluginName cannot change'],
]
const harmless: readonly (readonly [Kind, before: Json, change: Json])[] = [
  ['Workspace', { backend: 'docker' }, { tier: 2, runtime: 'other', parentRef: { name: 'boss' }, displayName: 'New' }],
  // Any visible sign is part of a name, and so is a row of that name one that can be adopted.
  ...'{}[]|>*&!'.split('').map((sign) => ['Workspace', {}, { displayName: `${sign} A ${sign}` }] as const),
  ['OrgImport', org({}), { source: { inline: { name: 'Other' } }, target: {} }],
  ['OrgImport', org({ target: {} }), { target: null }],
  ['PluginInstall', plugin({ pluginName: 'one' }), { source: 'github://a/b' }],
  ['Runtime', runtime({ digest }), { digest: `sha256:${'b'.repeat(64)}`, image: 'agents/other:2' }],
]

describe('what cannot change after creation', () => {
  test.each(transitions)('%s %j → %j: %s', async (kind, before, change, message) => {
    const name = `fixed-${crypto.randomUUID()}`.slice(0, 40)
    expect(await api.create(objectOf(kind, name, before), false)).toMatchObject({ refused: false })
    try {
      const answer = await api.patch(kind, name, { spec: change })
      expect(answer.refused && answer.message).toContain(message)
    } finally {
      await api.remove(kind, name)
    }
  })

  test.each(harmless)('%s %j → %j passes', async (kind, before, change) => {
    const name = `free-${crypto.randomUUID()}`.slice(0, 40)
    expect(await api.create(objectOf(kind, name, before), false)).toMatchObject({ refused: false })
    try {
      expect(await api.patch(kind, name, { spec: change })).toMatchObject({ refused: false })
    } finally {
      await api.remove(kind, name)
    }
  })
})

test('no rule is without a case here', () => {
  const told = [...cases, ...transitions].map(([, , , message]) => message)
  const elsewhere = ['must be a DNS label', 'nobody reports to themselves']
  const untested = kindNames.flatMap((kind) =>
    messagesOf(schemaOf(kind)).filter((message) => ![...told, ...elsewhere].some((part) => message.includes(part))),
  )
  expect(untested).toEqual([])
})

function messagesOf(schema: StructuralSchema): string[] {
  const inner = [schema.items, schema.additionalProperties, ...Object.values(schema.properties ?? {})]
  const own = (schema['x-kubernetes-validations'] ?? []).map(({ message }) => message)
  return own.concat(inner.flatMap((each) => (each ? messagesOf(each) : [])))
}
