/** A settled fleet, an operator started anew, another one that leads: nothing has changed, and nothing is written. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Workspace } from '../../src/api/workspace.ts'
import { controlPlane, namespace, openNamespace } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { fakeWithAgents, startOperator, type TestOperator } from '../support/operator.ts'
import { conditionOf, fromConfigMap, orgImport, readOrg, template } from '../support/orgs.ts'
import { statusWritesOf } from '../support/status-writes.ts'
import { until } from '../support/until.ts'
import { readWorkspace, removeRuntimes, runtime, workspace } from '../support/workspaces.ts'

vi.setConfig({ testTimeout: 240_000 })
const cluster = controlPlane()
const ns = await namespace(cluster)
/** Of which nothing is listed before a pass has come as far as its channels. */
const apart = await namespace(cluster)
for (const each of [ns, apart]) await openNamespace(each, cluster)
const databaseUrl = await database()
const backend = fakeWithAgents()
const lease = `quiet-${randomBytes(4).toString('hex')}`
let operator: TestOperator

/** As another process, or the same one started anew, sees the instances. */
const start = () => startOperator({ databaseUrl, backends: [backend.seenBy('fake')], env: { LEASE_NAME: lease } })

/** One root, six leads, five below each of five of them, and ten of the last: 42, each with files, variables and plugins. */
const size = 42
const names = Array.from({ length: size - 7 }, (_, i) => `Agent ${i}`)
const member = (name: string) => `{ name: ${name}, files_dir: member }`
const files = {
  'org.yaml': `name: Fleet
required_env: [MODEL_KEY]
recommended_env: [REGION]
defaults: { plugins: [logbook], initial_prompt: Wait. }
workspaces:
  - name: Root
    files_dir: root
    channels: [{ type: telegram, config: { bot_token: '\${BOT_TOKEN}', chat_id: '42' } }]
    schedules: [{ name: Yearly, cron_expr: '0 5 29 2 *', prompt: Look back. }]
    children:
${[0, 1, 2, 3, 4, 5]
  .map(
    (lead) =>
      `      - { name: Lead ${lead}, files_dir: lead, children: [${names
        .filter((_, i) => i % 6 === lead)
        .map(member)
        .join(', ')}] }`,
  )
  .join('\n')}
`,
  'root/system-prompt.md': 'You lead all.',
  'lead/system-prompt.md': 'You lead some.',
  'member/system-prompt.md': 'You work.',
}

const secret = (namespace: string, name: string, stringData: Record<string, string>) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace },
  stringData,
})

/** Beside the import: everything else that looks into what is listed, and what is not well. */
const others = [
  workspace(ns, 'settings', {
    envFrom: [{ configMapRef: { name: 'settings' } }, { secretRef: { name: 'keys' } }],
    channels: [
      {
        name: 'telegram',
        type: 'telegram',
        config: { chat_id: '7' },
        configFrom: [{ name: 'bot_token', valueFrom: { secretKeyRef: { name: 'keys', key: 'BOT_TOKEN' } } }],
      },
    ],
  }),
  workspace(apart, 'channel-alone', {
    channels: [
      {
        name: 'telegram',
        type: 'telegram',
        config: { chat_id: '7' },
        configFrom: [{ name: 'bot_token', valueFrom: { secretKeyRef: { name: 'keys', key: 'BOT_TOKEN' } } }],
      },
    ],
  }),
  workspace(ns, 'bereft', { envFrom: [{ secretRef: { name: 'passing' } }] }),
  workspace(ns, 'paused', { power: 'Paused', envFrom: [{ secretRef: { name: 'keys' } }] }),
  workspace(ns, 'lacking', {
    envFrom: [{ secretRef: { name: 'nowhere' } }, { configMapRef: { name: 'nowhere' } }],
  }),
]

const whereIs = (name: string) => (name === 'channel-alone' ? apart : ns)

const settled: Readonly<Record<string, string>> = {
  settings: 'True Settled',
  'channel-alone': 'True Settled',
  bereft: 'True Settled',
  paused: 'True Paused',
  lacking: 'False SecretMissing',
}

beforeAll(async () => {
  await cluster.apply([
    runtime('quiet-agent', { default: true }),
    secret(ns, 'keys', { MODEL_KEY: 'x', BOT_TOKEN: '123456:abcdef' }),
    secret(ns, 'passing', { A: 'b' }),
    secret(apart, 'keys', { BOT_TOKEN: '123456:abcdef' }),
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings', namespace: ns }, data: { REGION: 'north' } },
    template(ns, 'fleet', files),
  ])
  operator = await start()
  const env = { from: [{ secretRef: { name: 'keys' } }, { configMapRef: { name: 'settings' } }] }
  await cluster.apply([orgImport(ns, 'fleet', { ...fromConfigMap('fleet'), env }), ...others])
  await until(
    async () => {
      const { status } = await readOrg(cluster, ns, 'fleet')
      expect(`${status?.summary} ${conditionOf(status, 'Ready')}`).toContain(`${size} created True Settled`)
      for (const [name, verdict] of Object.entries(settled))
        expect(conditionOf((await readWorkspace(cluster, whereIs(name), name)).status, 'Ready')).toBe(verdict)
      const { status: told } = (await cluster.getJson('runtime', 'quiet-agent')) as { status?: { workspaces?: object } }
      expect(told?.workspaces).toBeDefined()
      return true
    },
    { what: 'the fleet to settle', within: 120_000, every: 250 },
  )
  // Its instance runs on, and is one of those that the Runtime counts.
  await cluster.kubectl(['delete', 'secret', 'passing', '-n', ns])
  await until(
    async () => conditionOf((await readWorkspace(cluster, ns, 'bereft')).status, 'Ready') === 'False SecretMissing',
    {
      what: 'what lost its Secret to say so',
    },
  )
  await atRest()
})
afterAll(async () => {
  await cluster.kubectl(['delete', 'org', '--all', '-n', ns, '--timeout=60s']).catch(() => undefined)
  await operator.stop()
  await removeRuntimes(cluster, 'quiet-agent')
})

/** Ended passes of the operator, by controller and outcome. */
async function passes({ healthUrl }: TestOperator): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${healthUrl}/metrics`)).text()
  const lines = text.matchAll(/^molecule_operator_reconcile_total\{controller="(.+)",outcome="(.+)"\} (\d+)$/gm)
  return new Map([...lines].map(([, controller, outcome, count]) => [`${controller} ${outcome}`, Number(count)]))
}

/** Every object was looked at by a pass that came to its end. */
async function lookedAtAll(by: TestOperator): Promise<void> {
  await until(
    async () => {
      const ended = await passes(by)
      expect(ended.get('workspace settled')).toBeGreaterThanOrEqual(size + Object.keys(settled).length - 2)
      expect(ended.get('workspace blocked')).toBeGreaterThanOrEqual(2)
      for (const controller of ['org-import', 'runtime'])
        expect(ended.get(`${controller} settled`)).toBeGreaterThanOrEqual(1)
      expect(ended.get('plugin-install blocked')).toBeGreaterThanOrEqual(1)
      return true
    },
    { what: 'a pass of each object', within: 60_000 },
  )
  await atRest(by)
}

/** No pass ends in a while in which what was put off, of a second at most, would have had one. */
async function atRest(by: TestOperator = operator): Promise<void> {
  let before = ''
  await until(
    async () => {
      const now = JSON.stringify([await statusWritesOf(cluster), ...(await passes(by))])
      const same = now === before
      before = now
      return same
    },
    { what: 'passes to end', within: 60_000, every: 2000 },
  )
}

async function statuses(): Promise<ReadonlyMap<string, unknown>> {
  const lists = await Promise.all([ns, apart].map((each) => cluster.getJson('ws,org,pi', '-n', each)))
  const items = lists.flatMap((list) => (list as { items: Workspace[] }).items)
  return new Map(items.map((item) => [`${item.kind} ${item.metadata.name}`, item.status]))
}

test('an operator started anew writes no status', async () => {
  const [before, written] = [await statuses(), await statusWritesOf(cluster)]
  expect(before.size).toBeGreaterThan(size + 4)
  await operator.stop()
  operator = await start()
  await lookedAtAll(operator)
  expect(await statuses()).toEqual(before)
  expect((await statusWritesOf(cluster)) - written).toBe(0)
})

test('one that takes the lead over writes none either', async () => {
  const [before, written] = [await statuses(), await statusWritesOf(cluster)]
  const second = await start()
  const first = operator
  operator = second
  await first.stop()
  await lookedAtAll(second)
  expect(await statuses()).toEqual(before)
  expect((await statusWritesOf(cluster)) - written).toBe(0)
})

test('what changed while its references are not listed yet is told that it waits for them, and then acted on', async () => {
  await operator.stop()
  await cluster.apply([workspace(ns, 'newcomer', { envFrom: [{ secretRef: { name: 'keys' } }] })])
  operator = await start()
  await until(
    async () => {
      const { status } = await readWorkspace(cluster, ns, 'newcomer')
      expect(conditionOf(status, 'Ready')).toBe('True Settled')
      return true
    },
    { what: 'the newcomer to be ready', within: 60_000 },
  )
})
