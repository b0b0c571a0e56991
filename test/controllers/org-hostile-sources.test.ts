/** Hostile archives and repositories on a real API server, database and Git server: refused whole, and nothing is made. */
import { expect, test } from 'vitest'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { archiveOf, tarGzOf, type ArchiveEntry } from '../support/archives.ts'
import { startGitServer, type GitRepository } from '../support/git-server.ts'
import { orgScene } from '../support/org-scene.ts'
import { conditionOf, orgImport, readOrg } from '../support/orgs.ts'
import { until } from '../support/until.ts'
import { messageOf } from '../support/workspaces.ts'

const gitServer = await startGitServer()
/** Namespaces of the instances that were made: other files have used the cluster before. */
const launched: string[] = []
const backend = new FakeBackend({ onRunning: ({ ref }) => void launched.push(ref.namespace) })
const scene = await orgScene(backend, { SOURCE_HTTP_HOSTS: '127.0.0.1', SOURCE_NETWORKS: '127.0.0.0/8' })
const { cluster, db } = scene

const whole = 'name: Team\nworkspaces: [{ name: Lead }]\n'
const orgYaml = (content: string | Buffer): ArchiveEntry => ({ name: 'org.yaml', content })
const good = orgYaml(whole)
const laughs = ['a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]'].concat(
  Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(10).fill(`*a${i}`).join(', ')}]`),
)
/** A line that does not pack well. */
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i).join(' ')
const notUtf8 = Buffer.from([0x6e, 0xff, 0xfe])
const wholeArchive = await archiveOf({ 'org.yaml': whole, 'a.md': 'x'.repeat(5000) })

const archives: Readonly<Record<string, [readonly ArchiveEntry[] | Buffer, RegExp]>> = {
  dots: [[good, { name: '../../etc/cron.d/x' }], /^SourceInvalid: .*"..\/..\/etc\/cron.d\/x" is refused: .*".."/],
  absolute: [[good, { name: '/etc/passwd' }], /^SourceInvalid: .*absolute/],
  drive: [[good, { name: 'C:/x' }], /^SourceInvalid: .*absolute/],
  symlink: [[{ name: 'org.yaml', type: 'symlink', linkname: '/etc/passwd' }], /^SourceInvalid: .*symbolic link/],
  hardlink: [[{ name: 'org.yaml', type: 'link', linkname: '/etc/shadow' }], /^SourceInvalid: .*hard link/],
  device: [[{ name: 'org.yaml', type: 'block-device' }], /^SourceInvalid: .*org.yaml .*device/],
  pipe: [[{ name: 'org.yaml', type: 'fifo' }], /^SourceInvalid: .*org.yaml .*pipe/],
  case: [[{ name: 'ORG.yaml' }, good], /^SourceInvalid: .*org.yaml .*differs from "ORG.yaml" in upper and lower case/],
  through: [
    [good, { name: 'teams', type: 'symlink', linkname: '/' }, { name: 'teams/etc/passwd' }],
    /^SourceInvalid: .*"teams\/etc\/passwd" .*file and a folder/,
  ],
  named: [
    [orgYaml('workspaces: !include teams/a.yaml'), { name: 'teams', type: 'symlink', linkname: '/' }],
    /^IncludeMissing: org\.yaml:1:22: "teams\/a\.yaml" cannot be read: of "teams", it is a symbolic link/,
  ],
  twice: [[good, orgYaml('name: Other')], /^SourceInvalid: .*"org.yaml" .*twice/],
  both: [[good, { name: 'org.yaml/x' }], /^SourceInvalid: .*file and a folder/],
  ratio: [[good, { name: 'zeros', content: Buffer.alloc(3 * 1024 * 1024) }], /^SourceTooLarge: .*100 times/],
  size: [
    [good, { name: 'zeros', content: Buffer.alloc(150 * 1024 * 1024) }],
    /^SourceTooLarge: .*unpacks to more than/,
  ],
  count: [
    [good, ...Array.from({ length: 10_001 }, (_, i) => ({ name: `f/${i}` }))],
    /^SourceTooLarge: .*10000 files and folders/,
  ],
  depth: [[good, { name: `${'d/'.repeat(40)}x` }], /^SourceInvalid: .*32 folders deep/],
  'large-line': [[orgYaml(`name: ${'x'.repeat(10 * 1024 * 1024)}`)], /^SourceTooLarge: .*100 times/],
  line: [[orgYaml(`a: 1\nb: ${numbers(200_000)}`)], /^TooLarge: org\.yaml:2:1: a line of more than/],
  laughs: [[orgYaml(laughs.join('\n'))], /^TooLarge: org\.yaml:\d+:\d+: more than 500000 values/],
  'not-utf8': [[orgYaml(notUtf8)], /^SourceInvalid: .*org.yaml .*not UTF-8/],
  'nul-in-text': [[orgYaml('name: a\0b')], /^SourceInvalid: .*org.yaml .*not UTF-8/],
  'lone-cr': [[orgYaml('name: a\rb: c')], /^SyntaxError: org\.yaml:1:8: a carriage return without a line feed/],
  'no-template': [[{ name: 'other.yaml' }], /^SourceMissing: .*no org.yaml/],
  'no-archive': [Buffer.from('just text'), /^SourceInvalid: .*not a whole tar.gz/],
  'cut-off': [wholeArchive.subarray(0, wholeArchive.length - 40), /^SourceInvalid: .*not a whole tar.gz/],
}

const folders = async (repo: GitRepository, levels: number, names: readonly string[]) => {
  let tree = await repo.treeOf({ 'org.yaml': whole })
  for (let level = 0; level < levels; level++)
    tree = await repo.tree(names.map((name) => ({ mode: '40000', name, oid: tree })))
  return tree
}
const entry = async (repo: GitRepository, mode: '100644' | '120000', name: string | Buffer, content: string) =>
  repo.tree([{ mode, name, oid: await repo.blob(content) }])

const commits: Readonly<Record<string, [(repo: GitRepository) => Promise<string>, RegExp]>> = {
  dots: [(repo) => entry(repo, '100644', '..', 'x'), /^SourceInvalid: .*"\.\." is refused/],
  absolute: [(repo) => entry(repo, '100644', '/etc/x', 'x'), /^SourceInvalid: .*"\/etc\/x" is refused/],
  'dot-git': [(repo) => entry(repo, '100644', '.Git', 'x'), /^SourceInvalid: .*"\.Git" is refused/],
  'name-not-utf8': [(repo) => entry(repo, '100644', notUtf8, 'x'), /^SourceMissing: .*no org.yaml/],
  link: [(repo) => entry(repo, '120000', 'org.yaml', '/etc/passwd'), /^SourceInvalid: .*org.yaml .*symbolic link/],
  submodule: [
    (repo) => repo.tree([{ mode: '160000', name: 'org.yaml', oid: 'b'.repeat(40) }]),
    /^SourceInvalid: .*org.yaml .*submodule/,
  ],
  case: [(repo) => repo.treeOf({ 'ORG.yaml': 'x', 'org.yaml': 'y' }), /^SourceInvalid: .*lower case/],
  ratio: [
    (repo) => repo.treeOf({ 'org.yaml': whole, zeros: Buffer.alloc(3 * 1024 * 1024) }),
    /^SourceTooLarge: .*100 times/,
  ],
  size: [
    (repo) => repo.treeOf({ 'org.yaml': `# ${numbers(700_000)}` }),
    /^SourceInvalid: .*org.yaml cannot be read: it has more than 4194304 bytes/,
  ],
  count: [(repo) => folders(repo, 8, ['a', 'b', 'c', 'd', 'e']), /^SourceTooLarge: .*10000 files and folders/],
  depth: [(repo) => folders(repo, 40, ['a']), /^SourceInvalid: .*32 folders deep/],
  laughs: [(repo) => repo.treeOf({ 'org.yaml': laughs.join('\n') }), /^TooLarge: org\.yaml:\d+:\d+: more than 500000/],
  'not-utf8': [(repo) => repo.treeOf({ 'org.yaml': notUtf8 }), /^SourceInvalid: .*org.yaml .*not UTF-8/],
  'lone-cr': [(repo) => repo.treeOf({ 'org.yaml': 'name: a\rb: c' }), /^SyntaxError: org\.yaml:1:8: a carriage/],
}

/** Each import says what is wrong, and nothing came of any of them. */
async function refused(ns: string, verdicts: Readonly<Record<string, readonly [unknown, RegExp]>>) {
  for (const [name, [, verdict]] of Object.entries(verdicts))
    await until(
      async () => {
        const { status, metadata } = await readOrg(cluster, ns, name)
        expect(status?.observedGeneration).toBe(metadata.generation)
        expect(conditionOf(status, 'Ready')).toMatch(/^False /)
        const reason = conditionOf(status, 'Ready')?.slice('False '.length)
        expect(`${reason}: ${messageOf(status, 'Ready')}`).toMatch(verdict)
        return true
      },
      { what: `${name} to be refused`, within: 90_000 },
    )
  expect(await scene.workspaces(ns)).toEqual([])
  const { rows } = await db.query('SELECT id FROM workspaces WHERE namespace = $1', [ns])
  expect(rows).toEqual([])
  expect(launched).not.toContain(ns)
}

test('hostile archives are refused whole: no row, no Workspace, no instance', async () => {
  const ns = await scene.opened()
  const objects: object[] = []
  for (const [name, [entries]] of Object.entries(archives)) {
    const archive = Buffer.isBuffer(entries) ? entries : await tarGzOf(entries)
    const binaryData = { 'all.tgz': archive.toString('base64') }
    objects.push(
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: ns }, binaryData },
      orgImport(ns, name, { source: { configMapRef: { name, archiveKey: 'all.tgz' } } }),
    )
  }
  await cluster.apply(objects)
  await refused(ns, archives)
}, 300_000)

test('hostile repositories are refused whole: no row, no Workspace, no instance', async () => {
  const ns = await scene.opened()
  const objects: object[] = []
  for (const [name, [treeOf]] of Object.entries(commits)) {
    const repo = await gitServer.repository(`hostile-${name}.git`)
    await repo.commit(await treeOf(repo))
    objects.push(orgImport(ns, name, { source: { git: { url: repo.url } } }))
  }
  await cluster.apply(objects)
  await refused(ns, commits)
}, 300_000)
