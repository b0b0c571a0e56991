/** The four CRDs as a person with kubectl meets them. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { controlPlane, namespace } from '../support/cluster.ts'
import { until } from '../support/until.ts'
import { kindNames, kinds, least, objectOf, requests, type Json, type Kind, type Requests } from './requests.ts'

const root = join(import.meta.dirname, '..', '..')
const home = await namespace()
const cluster = controlPlane()
let api: Requests
beforeAll(async () => {
  api = await requests(home, controlPlane().kubeconfig)
})
afterAll(() => api.close())

interface Installed {
  readonly spec: unknown
  readonly status: { readonly conditions: readonly { readonly type: string; readonly status: string }[] }
}

describe.each(kindNames)('%s', (kind) => {
  const { plural, columns, shortNames } = kinds[kind]

  test('is established and structural', async () => {
    const { status } = (await cluster.getJson('crd', `${plural}.molecule.dev`)) as Installed
    const conditions = Object.fromEntries(status.conditions.map(({ type, status: holds }) => [type, holds]))
    expect(conditions).toEqual({ NamesAccepted: 'True', Established: 'True' })
  })

  test('is found by its short name and by the category molecule', async () => {
    // What is served is told of a moment later.
    const listed = () => cluster.kubectl(['api-resources', '--categories=molecule', '--no-headers'])
    const line = new RegExp(`^${plural} +${shortNames.join(',')} +molecule.dev/v1alpha1 +(true|false) +${kind}$`, 'm')
    await until(
      async () => {
        expect(await listed()).toMatch(line)
        return true
      },
      { within: 30_000 },
    )
  })

  test('shows its columns', async () => {
    expect(await api.create(objectOf(kind, 'shown', least[kind]), false)).toMatchObject({ refused: false })
    const [short, wide] = await Promise.all([
      cluster.kubectl(['get', plural, 'shown', '-n', home]),
      cluster.kubectl(['get', plural, 'shown', '-n', home, '-o', 'wide']),
    ])
    const names = (priority: number) => [
      'NAME',
      ...columns.flatMap((each) => ((each.priority ?? 0) <= priority ? each.name.toUpperCase() : [])),
    ]
    expect(short.split('\n')[0]?.trim().split(/ +/)).toEqual(names(0))
    expect(wide.split('\n')[0]?.trim().split(/ +/)).toEqual(names(1))
    await api.remove(kind, 'shown')
  })

  test('is explained by kubectl, down to the leaves', async () => {
    const explained = await until(
      async () => {
        const text = await cluster.kubectl(['explain', plural, '--recursive'])
        expect(text).toContain('observedGeneration')
        return text
      },
      { within: 30_000 },
    )
    expect(explained).not.toContain('<no description>')
  })

  test('reads as not looked at yet until the operator writes a status, and status alone is what it writes', async () => {
    await api.create(objectOf(kind, 'born', least[kind]), false)
    const born = await api.get(kind, 'born')
    expect(!born.refused && born.object.status).toEqual({ observedGeneration: -1 })
    const forged = { spec: { suspend: true }, status: { observedGeneration: 7, summary: 'forged' } }
    const edited = await api.patch(kind, 'born', forged)
    expect(!edited.refused && edited.object).toMatchObject({
      spec: { suspend: true },
      status: { observedGeneration: -1 },
      metadata: { generation: 2 },
    })
    const reported = await api.patch(
      kind,
      'born',
      { spec: { suspend: false }, status: forged.status },
      { status: true },
    )
    expect(!reported.refused && reported.object).toMatchObject({
      spec: { suspend: true },
      status: forged.status,
      metadata: { generation: 2 },
    })
    await api.remove(kind, 'born')
  })
})

const defaults: Readonly<Record<Kind, Json>> = {
  Workspace: {
    power: 'Running',
    suspend: false,
    updateStrategy: 'WhenIdle',
    childrenPolicy: 'Orphan',
    deletionPolicy: 'Delete',
    workspaceAccess: 'none',
    delivery: 'push',
    maxConcurrentTasks: 1,
    updateRing: 'production',
  },
  OrgImport: {
    existing: 'Fail',
    update: 'Converge',
    prune: 'Orphan',
    strict: false,
    approval: 'Auto',
    dryRun: false,
    suspend: false,
    deletionPolicy: 'Delete',
  },
  PluginInstall: {
    track: 'none',
    interval: '1h',
    updatePolicy: 'Manual',
    tagMovePolicy: 'Hold',
    restart: 'Auto',
    runtimeCheck: 'Warn',
    suspend: false,
    deletionPolicy: 'Delete',
  },
  Runtime: {
    requireDigest: false,
    default: false,
    bootDeadline: '10m',
    rollout: 'WhenIdle',
    soak: '5m',
    suspend: false,
    deletionPolicy: 'Delete',
  },
}

test.each(kindNames)('the API server and the run-time check fill in the same defaults: %s', async (kind) => {
  const created = await api.create(objectOf(kind, 'plain', least[kind]))
  expect(!created.refused && created.object.spec).toEqual({ ...least[kind], ...defaults[kind] })
  expect(kinds[kind].spec.parse(least[kind])).toEqual({ ...least[kind], ...defaults[kind] })
})

describe('an inline org', () => {
  const inline = { name: 'Acme', workspaces: [{ name: 'A', surprise: 1, children: [{ name: 'B', canvas: { x: 1 } }] }] }

  test('is kept as given below its first level', async () => {
    const created = await api.create(objectOf('OrgImport', 'deep', { source: { inline } }))
    expect(!created.refused && created.object.spec).toMatchObject({ source: { inline } })
  })

  test('is checked at its first level', async () => {
    const created = await api.create(
      objectOf('OrgImport', 'flat', { source: { inline: { ...inline, org_name: 'A' } } }),
    )
    expect(created).toMatchObject({ refused: true })
    expect(created.refused && created.message).toContain('unknown field "spec.source.inline.org_name"')
  })
})

describe.each(['runtime', 'workspace', 'org-import', 'plugin-install'])('examples/%s.yaml', (file) => {
  const path = join(root, 'examples', `${file}.yaml`)

  test('is taken as it is, and changes nothing the second time', async () => {
    const { kind, metadata } = parse(await readFile(path, 'utf8')) as { kind: Kind; metadata: { name: string } }
    const target = kinds[kind].namespaced ? ['-n', 'default'] : []
    try {
      expect(await cluster.kubectl(['apply', '-f', path])).toContain('created')
      expect(await cluster.kubectl(['apply', '-f', path])).toContain('unchanged')
      expect(await cluster.kubectl(['diff', '-f', path])).toBe('')
    } finally {
      const unlock = ['patch', kind, metadata.name, ...target, '--type=merge', '-p', '{"metadata":{"finalizers":null}}']
      await cluster.kubectl(unlock)
      await cluster.kubectl(['delete', kind, metadata.name, ...target])
    }
  })
})

test('the generated files are those of the schemas', async () => {
  const checked = promisify(execFile)(process.execPath, [join(root, 'src/dev/generate.ts'), '--check'])
  await expect(checked).resolves.toMatchObject({ stderr: '' })
})
