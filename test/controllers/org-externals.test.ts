/**
 * A template that refers to a repository as the old platform's templates do, by `org/teams` and a tag: on a real Git server with TLS
 * that the operator's settings name as the default host.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import type { OrgImport } from '../../src/api/org-import.ts'
import { openScene } from '../incidents/scene.ts'
import { trustedCertificate } from '../support/certificate.ts'
import { startGitServer } from '../support/git-server.ts'
import { patch } from '../support/org-scene.ts'
import { conditionOf, fromConfigMap, orgImport, readOrg, readTree, template } from '../support/orgs.ts'
import { until } from '../support/until.ts'
import { messageOf } from '../support/workspaces.ts'

const git = await startGitServer(await trustedCertificate())
const { host } = new URL(git.origin)
const scene = await openScene({
  env: { SOURCE_HOSTS: '127.0.0.1', SOURCE_NETWORKS: '127.0.0.0/8', SOURCE_DEFAULT_HOST: host },
})
const { cluster, ns } = scene

const keys = await mkdtemp(join(tmpdir(), 'molecule-test-keys-'))
afterAll(() => rm(keys, { recursive: true, force: true }))

/** As published, but for the names. */
const files = (repo: string) => ({
  'org.yaml': `name: Team
defaults: { runtime: ${scene.runtimeName} }
workspaces:
  - name: Lead of ${repo}
    children:
      - !external
        repo: org/${repo}
        ref: v1.0.0
        path: dev/team.yaml
`,
})

/** A repository of the default host, and how its tag is put on a commit in which the one node has that role. */
async function tagged(name: string, sign: readonly string[] = []) {
  const repo = await git.repository(`org/${name}`)
  return {
    name,
    async tag(role: string): Promise<string> {
      const tree = await repo.treeOf({ 'dev/team.yaml': `name: Dev of ${name}\nrole: ${role}\n` })
      const commit = await repo.commit(tree, 'main', sign)
      const who = ['-c', 'user.name=Test', '-c', 'user.email=test@example.com']
      await repo.git([...who, 'tag', '--annotate', '--force', '-m', 'A tag', 'v1.0.0', commit])
      return commit
    },
  }
}

async function says(name: string, type: string, verdict: string | RegExp): Promise<OrgImport> {
  return await until(
    async () => {
      const found = await readOrg(cluster, ns, name)
      expect(found.status?.observedGeneration).toBe(found.metadata.generation)
      expect(`${conditionOf(found.status, type)}: ${messageOf(found.status, type)}`).toMatch(verdict)
      return found
    },
    { what: `${name} to be ${type} ${String(verdict)}`, within: 60_000 },
  )
}

const read = (name: string, commit: string) => [`${git.origin}/org/${name} v1.0.0@sha1:${commit}`]
const roleOf = async (name: string) => (await readTree(cluster, ns)).get(`Dev of ${name}`)?.spec.role

describe('a repository that is named without a host, at a tag', { timeout: 240_000 }, () => {
  test('is read from the default host, and the status says which commit; a tag that is moved is told, and waits as any plan does', async () => {
    const repo = await tagged('teams')
    const first = await repo.tag('First')
    await cluster.apply([template(ns, 'team', files('teams')), orgImport(ns, 'team', fromConfigMap('team'))])
    const made = await says('team', 'Ready', 'True Settled')
    expect(made.status?.source?.externals).toEqual(read('teams', first))
    expect(await roleOf('teams')).toBe('First')

    await patch(cluster, ns, 'org', 'team', { spec: { approval: 'Manual' } })
    await says('team', 'Ready', 'True Settled')
    let second = ''
    // One that begins reads it at once; one that runs, within the hour.
    await scene.restarted(async () => void (second = await repo.tag('Second')))
    const waits = await says('team', 'Stalled', 'True PlanBlocked')
    expect(waits.status?.source?.externals).toEqual(read('teams', second))
    expect(waits.status?.plan?.actions).toMatchObject([{ action: 'update', path: 'Lead of teams/Dev of teams' }])
    expect(await roleOf('teams')).toBe('First')
    const { items } = (await cluster.getJson('events.events.k8s.io', '-n', ns)) as {
      items: { type: string; reason: string; note: string }[]
    }
    expect(items.filter(({ reason }) => reason === 'TagMoved')).toMatchObject([
      { type: 'Warning', note: `${git.origin}/org/teams v1.0.0 was sha1:${first} and is sha1:${second}` },
    ])

    await patch(cluster, ns, 'org', 'team', { spec: { approvedPlan: waits.status?.plan?.digest } })
    await says('team', 'Ready', 'True Settled')
    expect(await roleOf('teams')).toBe('Second')
  })

  test('is asked for as it is written, with no credentials of the import but those that are for it', async () => {
    const repo = await tagged('private.git')
    await repo.tag('Hidden')
    const own = await git.repository('acme/org')
    await own.commitFiles(files('private.git'))
    const stringData = { username: 'me', password: 'for-tests' }
    await cluster.apply([{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'login', namespace: ns }, stringData }])
    const basic = `Basic ${Buffer.from('me:for-tests').toString('base64')}`
    git.authorization = basic
    try {
      const source = (more: object) => ({
        source: { git: { url: `${git.origin}/acme/org`, secretRef: { name: 'login' }, ...more } },
      })
      await cluster.apply([orgImport(ns, 'private', source({}))])
      await says('private', 'SourceReady', 'False AuthFailed')
      const sent = () => git.requests.filter(({ url }) => url.startsWith('/org/private.git/'))
      expect(new Set(sent().map(({ authorization }) => authorization))).toEqual(new Set([undefined]))
      const credentialsFor = [`${git.origin}/org`]
      await patch(cluster, ns, 'org', 'private', { spec: source({ credentialsFor }) })
      await says('private', 'Ready', 'True Settled')
      expect(sent().at(-1)?.authorization).toBe(basic)
    } finally {
      git.authorization = undefined
    }
  })

  test('must be signed where the template must', async () => {
    await promisify(execFile)('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(keys, 'key')])
    const sign = ['-c', 'gpg.format=ssh', '-c', `user.signingkey=${join(keys, 'key')}`]
    const stringData = { signer: await readFile(join(keys, 'key.pub'), 'utf8') }
    await cluster.apply([{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys', namespace: ns }, stringData }])
    for (const [name, signature] of [
      ['unsigned', []],
      ['signed', sign],
    ] as const) {
      await (await tagged(name, signature)).tag('Trusted')
      const own = await git.repository(`acme/${name}`)
      await own.commit(await own.treeOf(files(name)), 'main', sign)
      const url = `${git.origin}/acme/${name}`
      await cluster.apply([orgImport(ns, name, { source: { git: { url, verify: { secretRef: { name: 'keys' } } } } })])
    }
    await says('signed', 'Ready', 'True Settled')
    await says('unsigned', 'SourceReady', /^False VerificationFailed: org.yaml:\d+:\d+: the commit is not signed/)
    expect(await roleOf('unsigned')).toBeUndefined()
  })
})
