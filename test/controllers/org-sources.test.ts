/** OrgImports from every kind of source, on a real API server, database and Git server; instances are fake. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { OrgImport } from '../../src/api/org-import.ts'
import { archiveOf } from '../support/archives.ts'
import { controlPlane, namespaces, openNamespace } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { startGitServer } from '../support/git-server.ts'
import { fakeWithAgents, startOperator, type TestOperator } from '../support/operator.ts'
import { conditionOf, orgImport, readOrg, readTree, template } from '../support/orgs.ts'
import { patchStatus } from '../support/status-patch.ts'
import { until } from '../support/until.ts'
import { messageOf, removeRuntimes, runtime } from '../support/workspaces.ts'

// Each wait of a test has a limit of its own: this one is for all of them together.
vi.setConfig({ testTimeout: 300_000 })
const cluster = controlPlane()
const freshNamespace = namespaces(cluster)
const databaseUrl = await database()
const backend = fakeWithAgents()
const db = new Client({ connectionString: databaseUrl })
const gitServer = await startGitServer()
const artifacts = await serveArtifacts()
let operator: TestOperator

beforeAll(async () => {
  await db.connect()
  await cluster.apply([runtime('source-agent', { default: true })])
  const env = { SOURCE_HTTP_HOSTS: '127.0.0.1', SOURCE_NETWORKS: '127.0.0.0/8' }
  operator = await startOperator({ databaseUrl, backends: [backend], env })
})
afterAll(async () => {
  await operator.stop()
  await removeRuntimes(cluster, 'source-agent')
  await db.end()
})

/** Files by their path, for the artifacts of a Flux that is not there. */
async function serveArtifacts() {
  const files = new Map<string, Buffer>()
  const server = createServer(({ url = '' }, response) => {
    const found = files.get(url)
    response.writeHead(found === undefined ? 404 : 200).end(found)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  afterAll(() => void server.close())
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    /** The status of a Flux source whose artifact is this archive. */
    status(path: string, revision: string, archive: Buffer) {
      files.set(path, archive)
      const digest = `sha256:${createHash('sha256').update(archive).digest('hex')}`
      return { artifact: { url: `${origin}${path}`, digest, revision, path, size: archive.length } }
    },
  }
}

async function opened(...more: readonly string[]): Promise<string> {
  const ns = await freshNamespace()
  await openNamespace(ns, cluster, ...more)
  return ns
}

async function shows(ns: string, name: string, type: string, verdict: string | RegExp): Promise<OrgImport> {
  return await until(
    async () => {
      const found = await readOrg(cluster, ns, name)
      expect(found.status?.observedGeneration).toBe(found.metadata.generation)
      const line = `${conditionOf(found.status, type)}: ${messageOf(found.status, type)}`
      expect(line).toMatch(verdict)
      return found
    },
    { what: `${name} to be ${type} ${String(verdict)}`, within: 90_000 },
  )
}
const patchSource = async (ns: string, name: string, source: object) =>
  await cluster.kubectl(['patch', 'org', name, '-n', ns, '--type=merge', '-p', JSON.stringify({ spec: { source } })])

const versions = async (ns: string) =>
  [...(await readTree(cluster, ns))]
    .map(([name, { metadata }]) => `${name} ${metadata.uid} ${metadata.generation}`)
    .toSorted()

const archiveMap = (ns: string, name: string, archive: Buffer) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: ns },
  binaryData: { 'all.tgz': archive.toString('base64') },
})
const secret = (ns: string, name: string, stringData: Record<string, string>) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: ns },
  stringData,
})

const team = {
  'org.yaml': 'name: Team\nworkspaces:\n  - name: Lead\n    children: [!include teams/member.yaml]\n',
  'teams/member.yaml': 'name: Member\nrole: Helps\n',
}
const inline = { name: 'Team', workspaces: [{ name: 'Lead', children: [{ name: 'Member', role: 'Helps' }] }] }

let made = 0
async function repository(files: Readonly<Record<string, string | Buffer>> = team) {
  const repo = await gitServer.repository(`org-${++made}.git`)
  return { repo, commit: await repo.commitFiles(files) }
}

describe('one template', () => {
  test('is one tree, whatever it comes from, and moving it changes nothing', async () => {
    const ns = await opened('molecule-flux-sources')
    await fluxKinds()
    const { repo, commit } = await repository()
    // As code hosts make it: all in one folder.
    const inFolder = Object.entries(team).map(([path, text]) => [`team-abc123/${path}`, text] as const)
    await cluster.apply([
      template(ns, 'keys', team),
      archiveMap(ns, 'archive', await archiveOf({ ...team, 'logo.png': Buffer.from([0x89, 0xff]) })),
      archiveMap(ns, 'in-folder', await archiveOf(Object.fromEntries(inFolder))),
      fluxSource(ns, 'flux'),
    ])
    const archived = await archiveOf({
      'orgs/team/org.yaml': team['org.yaml'],
      'orgs/team/teams/member.yaml': team['teams/member.yaml'],
    })
    await fluxStatus(ns, 'flux', artifacts.status('/one.tar.gz', 'main@sha1:f00', archived))
    const sources: readonly [object, string | RegExp][] = [
      [{ configMapRef: { name: 'keys' }, inline: null }, /^\d+$/],
      [{ configMapRef: { name: 'archive', archiveKey: 'all.tgz' } }, /^\d+$/],
      [{ configMapRef: { name: 'in-folder', key: 'team-abc123/org.yaml', archiveKey: 'all.tgz' } }, /^\d+$/],
      [{ git: { url: repo.url }, configMapRef: null }, `main@sha1:${commit}`],
      [{ sourceRef: { kind: 'GitRepository', name: 'flux', path: 'orgs/team' }, git: null }, 'main@sha1:f00'],
      [{ inline, sourceRef: null }, /^generation 7$/],
    ]
    await cluster.apply([orgImport(ns, 'team', { source: { inline } })])
    const first = await shows(ns, 'team', 'Ready', /^True/)
    const [digest, before] = [first.status?.source?.digest, await versions(ns)]
    expect(digest).toMatch(/^[0-9a-f]{64}$/)
    for (const [source, revision] of sources) {
      await patchSource(ns, 'team', source)
      const now = await shows(ns, 'team', 'Ready', /^True/)
      expect(now.status?.source?.revision).toMatch(revision)
      expect([now.status?.source?.digest, await versions(ns)]).toEqual([digest, before])
    }
    const tree = [...(await readTree(cluster, ns)).values()]
    expect(tree.map(({ metadata }) => backend.creates.get(metadata.uid))).toEqual([1, 1])
  })
})

describe('a repository', () => {
  test('is followed: a new commit is looked for every interval, and applied', async () => {
    const ns = await opened()
    const { repo, commit } = await repository()
    await cluster.apply([orgImport(ns, 'git', { source: { git: { url: repo.url, interval: '1s' } } })])
    await shows(ns, 'git', 'SourceReady', `read at main@sha1:${commit}`)
    const next = await repo.commitFiles({ ...team, 'teams/member.yaml': 'name: Member\nrole: Leads\n' })
    await shows(ns, 'git', 'SourceReady', `read at main@sha1:${next}`)
    await until(async () => (await readTree(cluster, ns)).get('Member')?.spec.role === 'Leads', { within: 45_000 })
  })

  test('that breaks its template heals with the commit that mends it', async () => {
    const ns = await opened()
    const { repo } = await repository({ 'org.yaml': 'name: Team\nworkspaces: [{ name: A, tier: high }]\n' })
    await cluster.apply([orgImport(ns, 'git', { source: { git: { url: repo.url, interval: '1s' } } })])
    await shows(ns, 'git', 'Stalled', /^True/)
    await repo.commitFiles(team)
    await shows(ns, 'git', 'Ready', /^True/)
  })

  test('that is not there, or not yet, is waited for', async () => {
    const ns = await opened()
    const { repo } = await repository()
    const git = { url: repo.url, ref: { branch: 'later' }, interval: '1s' }
    await cluster.apply([orgImport(ns, 'git', { source: { git } })])
    await shows(ns, 'git', 'SourceReady', /^False SourceMissing: the repository: .* no branch "later"/)
    await repo.commitFiles(team, 'later')
    await shows(ns, 'git', 'Ready', /^True/)
  })

  test('keeps its tree while the server is away, and says so', async () => {
    const ns = await opened()
    const { repo, commit } = await repository()
    await cluster.apply([orgImport(ns, 'git', { source: { git: { url: repo.url, interval: '1s' } } })])
    await shows(ns, 'git', 'Ready', /^True/)
    gitServer.intercept = (_, response) => {
      response.writeHead(503).end()
      return true
    }
    try {
      const away = `read at main@sha1:${commit}; looking for something newer fails: 127.0.0.1:\\d+ answers 503`
      await shows(ns, 'git', 'SourceReady', new RegExp(away))
      await shows(ns, 'git', 'Ready', /^True/)
    } finally {
      gitServer.intercept = undefined
    }
    await shows(ns, 'git', 'SourceReady', new RegExp(`read at main@sha1:${commit}$`))
  })

  test('opens with the right Secret, and no credential is ever shown', async () => {
    const ns = await opened()
    const { repo } = await repository()
    const git = { url: repo.url, secretRef: { name: 'login' } }
    gitServer.authorization = `Basic ${Buffer.from('org:s3cret-word').toString('base64')}`
    try {
      await cluster.apply([orgImport(ns, 'git', { source: { git } })])
      await shows(ns, 'git', 'SourceReady', /^False SecretMissing: Secret "login" does not exist/)
      await cluster.apply([secret(ns, 'login', { identity: 'a key' })])
      await shows(ns, 'git', 'SourceReady', /^False AuthFailed: Secret "login" has neither .*SSH keys/)
      await cluster.apply([secret(ns, 'login', { username: 'org', password: 'wr0ng-word' })])
      await shows(ns, 'git', 'SourceReady', /^False AuthFailed: .* refuses the credentials of secretRef/)
      await cluster.apply([secret(ns, 'login', { username: 'org', password: 's3cret-word' })])
      await shows(ns, 'git', 'Ready', /^True/)
    } finally {
      gitServer.authorization = undefined
    }
    const shown = JSON.stringify([await readOrg(cluster, ns, 'git'), await cluster.getJson('events', '-n', ns)])
    for (const word of ['s3cret-word', 'wr0ng-word', Buffer.from('org:s3cret-word').toString('base64')])
      expect(shown).not.toContain(word)
  })

  test('must be where the configuration allows', async () => {
    const ns = await opened()
    const at = (name: string, url: string) => orgImport(ns, name, { source: { git: { url } } })
    await cluster.apply([
      at('plain', 'http://git.example/org/team'),
      at('metadata', 'https://169.254.169.254/latest'),
      at('private', 'https://10.1.2.3/org/team'),
      at('itself', 'https://localhost/org/team'),
    ])
    await shows(ns, 'plain', 'SourceReady', /^False NotAllowed: .*http:\/\/git.example, which is not encrypted/)
    await shows(ns, 'metadata', 'SourceReady', /^False NotAllowed: .*169.254.169.254/)
    await shows(ns, 'private', 'SourceReady', /^False NotAllowed: .*10.1.2.3 .*SOURCE_NETWORKS/)
    // 127.0.0.0/8 is open to these tests, ::1 is not: which is tried first is the resolver's choice.
    await shows(ns, 'itself', 'SourceReady', /^False (NotAllowed|SourceUnreachable): /)
    await shows(ns, 'plain', 'Stalled', /^True NotAllowed/)
  })
})

const fluxGroup = 'source.toolkit.fluxcd.io'
const fluxSource = (ns: string, name: string) => ({
  apiVersion: `${fluxGroup}/v1`,
  kind: 'GitRepository',
  metadata: { name, namespace: ns },
  spec: { url: 'https://git.example/org/team', interval: '1m' },
})
const fluxStatus = (ns: string, name: string, status: object) =>
  patchStatus(cluster, ['gitrepository', ns, name], status)

/** The CRD of Flux, as far as it is read here. */
async function fluxKinds(): Promise<void> {
  const anything = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
  const schema = { openAPIV3Schema: { type: 'object', properties: { spec: anything, status: anything } } }
  const names = { kind: 'GitRepository', plural: 'gitrepositories', singular: 'gitrepository' }
  const version = { name: 'v1', served: true, storage: true, schema, subresources: { status: {} } }
  await cluster.apply([
    {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `gitrepositories.${fluxGroup}` },
      spec: { group: fluxGroup, scope: 'Namespaced', names, versions: [version] },
    },
  ])
  await until(async () => await cluster.kubectl(['get', 'gitrepositories', '-A', '-o', 'name']).then(() => true), {
    what: 'the kind',
    within: 45_000,
  })
}

describe('a source that Flux keeps', () => {
  const from = (name: string, kind = 'GitRepository') => ({ source: { sourceRef: { kind, name } } })

  test('is read once the namespace is opened, the kind is there, and the artifact', async () => {
    const ns = await opened()
    await fluxKinds()
    await cluster.apply([orgImport(ns, 'flux', from('team')), orgImport(ns, 'oci', from('team', 'OCIRepository'))])
    await shows(ns, 'flux', 'SourceReady', /^False SourceForbidden: .*molecule-flux-sources/)
    await openNamespace(ns, cluster, 'molecule-flux-sources')
    await shows(ns, 'flux', 'SourceReady', /^False SourceMissing: GitRepository "team" does not exist/)
    await shows(ns, 'oci', 'SourceReady', /^False SourceMissing: the cluster has no kind OCIRepository/)
    await cluster.apply([fluxSource(ns, 'team')])
    await shows(ns, 'flux', 'SourceReady', /^False SourceNotReady: GitRepository "team" has no artifact yet/)
    const conditions = [{ type: 'Ready', status: 'False', reason: 'GitOperationFailed', message: 'no such branch' }]
    await fluxStatus(ns, 'team', { conditions })
    await shows(ns, 'flux', 'SourceReady', /^False SourceNotReady: .*: no such branch/)
    await fluxStatus(ns, 'team', artifacts.status('/a.tar.gz', 'main@sha1:aaa', await archiveOf(team)))
    await shows(ns, 'flux', 'Ready', /^True/)

    const next = await archiveOf({ ...team, 'teams/member.yaml': 'name: Member\nrole: Leads\n' })
    await fluxStatus(ns, 'team', artifacts.status('/b.tar.gz', 'main@sha1:bbb', next))
    await shows(ns, 'flux', 'SourceReady', 'read at main@sha1:bbb')
    await until(async () => (await readTree(cluster, ns)).get('Member')?.spec.role === 'Leads', { within: 45_000 })
  })

  test('is refused when what its URL gives is not what its status says', async () => {
    const ns = await opened('molecule-flux-sources')
    await fluxKinds()
    const told = artifacts.status('/c.tar.gz', 'main@sha1:ccc', await archiveOf(team))
    artifacts.status('/c.tar.gz', '', await archiveOf({ 'org.yaml': 'name: Evil\nworkspaces: [{ name: Evil }]\n' }))
    await cluster.apply([fluxSource(ns, 'team'), orgImport(ns, 'flux', from('team'))])
    await fluxStatus(ns, 'team', told)
    await shows(ns, 'flux', 'SourceReady', /^False SourceInvalid: the artifact: .* does not have the digest sha256/)
    expect((await readTree(cluster, ns)).size).toBe(0)
  })
})
