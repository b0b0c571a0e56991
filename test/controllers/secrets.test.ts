/** Agents and engines say the secrets of a workspace in every way they can: none is seen in a status, event, log line or event row. */
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { OrgImport } from '../../src/api/org-import.ts'
import { seconds } from '../../src/duration.ts'
import { RetryAfter, Terminal } from '../../src/errors.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { controlPlane, namespace, openNamespace } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { fakeWithAgents, startOperator, type TestOperator } from '../support/operator.ts'
import { until } from '../support/until.ts'
import { conditionOf, messageOf, readWorkspace, removeRuntimes, runtime, workspace } from '../support/workspaces.ts'

const cluster = controlPlane()
const ns = await namespace(cluster)
const databaseUrl = await database()
const backend = fakeWithAgents()
const db = new Client({ connectionString: databaseUrl })
const logged: string[] = []
let operator: TestOperator

const plain = 'hunter2-correct-horse-PLANTED'
const lines = ['MIIEvQIBADANBgkqhkiG9w0BAQEFAASC', 'BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj']
const pem = `-----BEGIN KEY-----\n${lines.join('\n')}\n-----END KEY-----\n`
const values = {
  PLAIN: plain,
  PEM: pem,
  SHORT: 'abcdef-P',
  LONG: 'abcdef-P-and-the-rest-of-it',
  FILE: 'from-a-file-PLANTED\n',
}

const base64 = Buffer.from(plain).toString('base64')
/** Of the forms, what no text may show; each is long enough to be of some use to a thief. */
const planted = [
  'hunter2-corr',
  'rect-horse-PL',
  'and-the-rest',
  'from-a-file-PL',
  ...lines.flatMap((line) => [line.slice(0, 16), line.slice(-16)]),
  base64.slice(0, 16),
  Buffer.from(`x${plain}`).toString('base64').slice(4, 24),
  Buffer.from(plain).toString('hex').slice(0, 24),
]
const said = [
  plain,
  plain.replace('correct', '\u001B[1mcorrect\u001B[0m'),
  plain.replace('correct', '\0cor\u202Erect\u200B'),
  values.LONG,
  values.FILE.trim(),
  pem.replaceAll('\n', '\r\n'),
  JSON.stringify({ pem, plain }),
  encodeURIComponent(pem),
  base64,
  Buffer.from(`x${plain}`).toString('base64'),
  Buffer.from(plain).toString('hex'),
].join(' said \u001B]0;pwned\u0007')

beforeAll(async () => {
  await db.connect()
  await openNamespace(ns, cluster)
  await until(() => cluster.apply([runtime('secrets', { default: true })]))
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'planted', namespace: ns }, stringData: values }
  await cluster.apply([secret])
  const log = createLogger('trace', { write: (line) => void logged.push(line) })
  operator = await startOperator({ databaseUrl, backends: [backend], env: { BACKENDS: 'fake' }, log })
})
afterAll(async () => {
  await operator.stop()
  await removeRuntimes(cluster, 'secrets')
  await db.end()
})

const get = (name: string) => readWorkspace(cluster, ns, name)
const apply = (name: string) => cluster.apply([workspace(ns, name, { envFrom: [{ secretRef: { name: 'planted' } }] })])
const settles = (name: string, type: string, verdict: string) =>
  until(
    async () => {
      const found = await get(name)
      expect(conditionOf(found.status, type)).toBe(verdict)
      return found
    },
    { what: `${name} to be ${type}=${verdict}` },
  )

/** Everything that people read of a workspace, and the events of all, as it stands now. */
async function read(name: string): Promise<string> {
  const { status, metadata } = await get(name)
  const events = await cluster.getJson('events.events.k8s.io', '-n', ns)
  const rows = await db.query('SELECT payload FROM structure_events WHERE workspace_id = $1', [metadata.uid])
  const failure = await db.query('SELECT last_failure FROM workspaces WHERE id = $1', [metadata.uid])
  return JSON.stringify([status, events, logged, rows.rows, failure.rows])
}

async function nothingLeaks(name: string): Promise<void> {
  const text = await read(name)
  for (const each of planted) expect(text).not.toContain(each)
  // oxlint-disable-next-line no-control-regex
  expect(text).not.toMatch(/\\u001b|[\u001B\u202E\u200B]/i)
}

test('the last output of an instance, cut within a secret', async () => {
  await apply('faller')
  const { uid } = (await settles('faller', 'Ready', 'True Settled')).metadata
  const rest = `\n${'x\n'.repeat(4000)}${said}\nthe end`
  const filler = 'y'.repeat(2 * 8192 - plain.length + 3 - rest.length)
  backend.output.set(uid, `${plain}${filler}${rest}`)
  backend.kill(uid, 3)
  const { status } = await until(async () => {
    const found = await get('faller')
    return found.status?.lastFailure?.logTail === undefined ? undefined : found
  })
  expect(status?.lastFailure?.logTail).toMatch(/\[redacted\].*\nthe end$/s)
  await nothingLeaks('faller')
})

test('the words of a beat', async () => {
  await apply('talker')
  const { uid } = (await settles('talker', 'Ready', 'True Settled')).metadata
  const token = backend.volumes.get(uid)?.get('.auth_token') ?? ''
  const beat = (error_rate: number, sample_error: string) =>
    fetch(`${operator.platformUrl}/registry/heartbeat`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        workspace_id: uid,
        error_rate,
        active_tasks: 1,
        sample_error,
        current_task: `task ${sample_error}`,
      }),
    })
  for (const text of [
    said.slice(0, 900),
    `a\nb ${JSON.stringify(pem)}`,
    `${'z'.repeat(1010)}${plain}`,
    '\u001B\u0007\u202E',
  ]) {
    expect((await beat(1, text)).status).toBe(200)
    const { status } = await settles('talker', 'Connected', 'True AgentDegraded')
    expect(messageOf(status, 'Connected')).toContain('the agent beats, but fails')
    await nothingLeaks('talker')
    await beat(0, '')
    await settles('talker', 'Connected', 'True Registered')
  }
})

test.each([
  ['a refusal', new Terminal('StartRefused', `engine: ${said}`), 'Stalled', 'True StartRefused'],
  ['a wait', new RetryAfter(seconds(60), `engine: ${said}`), 'Launched', 'False Starting'],
] as const)('what an engine says of a launch: %s', async (what, error, type, verdict) => {
  const name = what.replaceAll(' ', '-')
  const heal = backend.fail('ensure', error, 1000)
  await apply(name)
  await until(async () => {
    const { status } = await get(name)
    expect(conditionOf(status, type)).toBe(verdict)
    expect(messageOf(status, type)).toContain('[redacted]')
    return true
  })
  await nothingLeaks(name)
  heal()
})

test('what an engine says that nobody expected, in the status and the log', async () => {
  await apply('surprised')
  await settles('surprised', 'Ready', 'True Settled')
  const heal = backend.fail('remove', new Error(`engine: ${said}`, { cause: new Error(said) }), 1000)
  await cluster.kubectl(['annotate', 'ws', 'surprised', '-n', ns, 'molecule.dev/restarted-at=now'])
  const { status } = await settles('surprised', 'Reconciling', 'True Retrying')
  expect(messageOf(status, 'Reconciling')).toContain('[redacted]')
  expect(logged.filter((line) => line.includes('pass failed')).join()).toContain('engine: [redacted]')
  await nothingLeaks('surprised')
  heal()
})

test('what the database quotes', async () => {
  await db.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'refused: ${plain} and ${base64}'; END $$`)
  await db.query(`CREATE TRIGGER refuse BEFORE INSERT ON workspaces FOR EACH ROW
    WHEN (NEW.resource_name = 'quoted') EXECUTE FUNCTION refuse()`)
  await apply('quoted')
  const { status } = await settles('quoted', 'Reconciling', 'True Retrying')
  expect(messageOf(status, 'Reconciling')).toContain('refused: [redacted]')
  const text = JSON.stringify([status, logged])
  for (const each of planted) expect(text).not.toContain(each)
})

test('a template with terminal sequences in what messages quote', async () => {
  const template = { name: 'Esc', workspaces: [{ name: 'a', files_dir: 'x\u001B[2J\u202Egpj.exe' }] }
  const meta = { name: 'esc', namespace: ns }
  const spec = { source: { inline: template } }
  await cluster.apply([{ apiVersion: 'molecule.dev/v1alpha1', kind: 'OrgImport', metadata: meta, spec }])
  const told = await until(async () => {
    const org = (await cluster.getJson('orgimport', 'esc', '-n', ns)) as OrgImport
    // The folder is not there, which is quoted in a warning.
    expect(org.status?.warnings?.map(({ code }) => code)).toContain('FileMissing')
    return JSON.stringify(org.status)
  })
  // oxlint-disable-next-line no-control-regex
  expect(told).not.toMatch(/\\u001b|[\u001B\u202E]/i)
})

test('an engine that does not answer', async () => {
  await apply('lost')
  await settles('lost', 'Ready', 'True Settled')
  const heal = backend.fail('observe', new Error(`engine: ${said}`), 1000)
  await cluster.kubectl(['annotate', 'ws', 'lost', '-n', ns, 'molecule.dev/reconcile-requested-at=now'])
  const { status } = await settles('lost', 'Launched', 'Unknown BackendUnreachable')
  expect(messageOf(status, 'Launched')).toContain('[redacted]')
  await nothingLeaks('lost')
  heal()
})
