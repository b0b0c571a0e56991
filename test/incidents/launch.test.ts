/** Incidents around a launch: changes that got lost, two that collided, tokens that did not fit. */
import { setTimeout as wait } from 'node:timers/promises'
import { parse } from 'yaml'
import { expect, test } from 'vitest'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { milliseconds } from '../../src/duration.ts'
import { RetryAfter } from '../../src/errors.ts'
import { createSeal } from '../../src/store/postgres/seal.ts'
import { inboundPlace } from '../../src/store/postgres/transitions.ts'
import { workspaceId } from '../../src/store/workspace-store.ts'
import { secretsKey } from '../support/operator.ts'
import { until } from '../support/until.ts'
import { openScene, restartAt } from './scene.ts'

/** How many run at this moment, and the most that ever did, by uid: counted where they begin and end. */
const alive = new Map<string, number>()
const most = new Map<string, number>()
/** How the first word of each instance was answered. */
const firstAnswers: number[] = []

const scene = await openScene({
  latency: 40,
  agent: (spec, ended) => {
    const { uid, name } = spec.ref
    const now = (alive.get(uid) ?? 0) + 1
    alive.set(uid, now)
    most.set(uid, Math.max(now, most.get(uid) ?? 0))
    ended.addEventListener('abort', () => alive.set(uid, (alive.get(uid) ?? 0) - 1))
    if (name === 'hasty') void scene.beat(uid, spec.token).then((status) => firstAnswers.push(status))
    registerAt(spec, ended)
  },
})
const { backend, make, settles, edit, row, launched } = scene
const lastOf = (uid: string) => launched.findLast(({ ref }) => ref.uid === uid)

const secret = (name: string, value: string) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: scene.ns },
  stringData: { KEY: value },
})
const fromSecret = (name: string) => [{ name: 'KEY', valueFrom: { secretKeyRef: { name, key: 'KEY' } } }]

test('incident-13: a change that comes in the middle of a replacement is not lost', async () => {
  await scene.cluster.apply([secret('two', 'first')])
  await make('twice', { env: fromSecret('two'), model: 'sonnet' })
  const { uid } = (await settles('twice', 'Ready', 'True Settled')).metadata
  await scene.cluster.apply([secret('two', 'second')])
  await until(() => backend.creates.get(uid) === 2, { what: 'the replacement to be under way', every: 2 })
  await edit('twice', { spec: { model: 'opus' } })
  await until(() => lastOf(uid)?.env['MODEL'] === 'opus', { what: 'an instance with the new model' })
  await settles('twice', 'Ready', 'True Settled')
  expect(lastOf(uid)?.env).toMatchObject({ KEY: 'second', MODEL: 'opus' })
  expect(backend.creates.get(uid)).toBeLessThanOrEqual(3)
})

test('incident-15: a burst of saves is one restart, with the last of them', async () => {
  const saved = (text: string) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'burst', namespace: scene.ns },
    data: { text },
  })
  await scene.cluster.apply([saved('0')])
  await make('saver', { files: [{ path: 'notes.md', configMapKeyRef: { name: 'burst', key: 'text' } }] })
  const { uid } = (await settles('saver', 'Ready', 'True Settled')).metadata
  const path = `/api/v1/namespaces/${scene.ns}/configmaps/burst`
  // Half a second of quiet ends a burst: on a machine that stood still in the middle of it there were more.
  let bursts = 1
  for (let save = 1, before = performance.now(); save <= 10; save++) {
    await scene.ask('PATCH', path, { data: { text: String(save) } })
    await wait(80)
    if (performance.now() - before > 350) bursts++
    before = performance.now()
  }
  await until(() => backend.volumes.get(uid)?.get('notes.md') === '10' && alive.get(uid) === 1)
  await settles('saver', 'Ready', 'True Settled')
  const replaced = (backend.creates.get(uid) ?? 0) - 1
  expect(replaced).toBeGreaterThanOrEqual(1)
  expect(replaced).toBeLessThanOrEqual(bursts)
})

test('incident-16: a creation and whatever comes on its heels never start two', async () => {
  const asked = (at: number) => ({ metadata: { annotations: { 'molecule.dev/reconcile-requested-at': String(at) } } })
  await make('heels')
  for (let at = 0; at < 6; at++) await edit('heels', asked(at))
  const { uid } = (await settles('heels', 'Ready', 'True Settled')).metadata
  const token = () => backend.volumes.get(uid)?.get('.auth_token') ?? ''
  expect([most.get(uid), backend.creates.get(uid), await scene.beat(uid, token())]).toEqual([1, 1, 200])
  await edit('heels', restartAt('now'))
  for (let at = 6; at < 12; at++) await edit('heels', asked(at))
  await until(() => backend.creates.get(uid) === 2, { what: 'the second instance', within: 30_000 })
  await settles('heels', 'Ready', 'True Settled')
  await scene.looked('heels')
  expect([most.get(uid), backend.creates.get(uid), await scene.beat(uid, token())]).toEqual([1, 2, 200])
})

test('incident-23: a volume that was emptied is filled again before the next start', async () => {
  await make('emptied')
  const { uid } = (await settles('emptied', 'Ready', 'True Settled')).metadata
  backend.volumes.get(uid)?.clear()
  backend.kill(uid)
  await until(() => backend.creates.get(uid) === 2, { what: 'the second instance', within: 30_000 })
  await settles('emptied', 'Ready', 'True Settled')
  expect([...(backend.volumes.get(uid)?.keys() ?? [])].sort()).toEqual([
    '.auth_token',
    '.platform_inbound_secret',
    'config.yaml',
  ])
})

test('incident-24: what is started anew has a token of its own, and the old one opens nothing', async () => {
  await make('renewed')
  const { uid } = (await settles('renewed', 'Ready', 'True Settled')).metadata
  const token = () => backend.volumes.get(uid)?.get('.auth_token') ?? ''
  const old = token()
  backend.kill(uid)
  await until(() => backend.creates.get(uid) === 2, { what: 'the second instance', within: 30_000 })
  await settles('renewed', 'Ready', 'True Settled')
  expect(token()).not.toBe(old)
  expect([await scene.beat(uid, old), await scene.beat(uid, token())]).toEqual([401, 200])
})

test('incident-25: a token that never reached its instance locks nobody out', async () => {
  backend.fail('ensure', new RetryAfter(milliseconds(200), 'out of reach'))
  await make('deferred')
  const { uid } = (await settles('deferred', 'Ready', 'True Settled')).metadata
  expect(backend.creates.get(uid)).toBe(1)
  expect((await row(uid))?.['launch_attempts']).toBe(0)
  expect(await scene.liveTokens(uid)).toHaveLength(1)
  expect(await scene.beat(uid, backend.volumes.get(uid)?.get('.auth_token') ?? '')).toBe(200)
  // Nor does a secret: what the operator's calls carry is what the instance was given.
  const sealed = (await row(uid))?.['inbound_secret'] as Buffer
  const opened = createSeal(Buffer.from(secretsKey, 'base64')).open(sealed, inboundPlace(workspaceId(uid)))
  expect(opened).toBe(backend.volumes.get(uid)?.get('.platform_inbound_secret'))
})

test('incident-26: the first word of an instance is believed: its token was known before it started', async () => {
  await make('hasty')
  await settles('hasty', 'Ready', 'True Settled')
  await until(() => firstAnswers.length > 0, { what: 'the answer to its first word' })
  expect(firstAnswers).toEqual([200])
})

test('incident-41: a restart restores the template and everything that came with it', async () => {
  await make('seo', { template: { ref: 'seo-agent' }, role: 'Finds words' })
  const { uid } = (await settles('seo', 'Ready', 'True Settled')).metadata
  const before = lastOf(uid)
  await edit('seo', restartAt('now'))
  await until(() => backend.creates.get(uid) === 2, { what: 'the second instance', within: 30_000 })
  const { status } = await settles('seo', 'Ready', 'True Settled')
  expect(status?.template?.identity).toBe('seo-agent')
  expect((await row(uid))?.['template']).toBe('seo-agent')
  expect([lastOf(uid)?.files, lastOf(uid)?.env]).toEqual([before?.files, before?.env])
})

test('incident-43: a configuration of 200 KiB arrives whole', async () => {
  const text = 'x'.repeat(200 * 1024)
  const metadata = { name: 'large', namespace: scene.ns }
  await scene.cluster.apply([{ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { text } }])
  await make('large', { files: [{ path: 'prompts/system.md', configMapKeyRef: { name: 'large', key: 'text' } }] })
  const { uid } = (await settles('large', 'Ready', 'True Settled')).metadata
  expect(backend.volumes.get(uid)?.get('prompts/system.md')).toHaveLength(text.length)
})

test('incident-45: what people write is data in the configuration, and no token is in it', async () => {
  const displayName = 'Ann: "the \\ quoted" #1'
  await make('quoted', { displayName })
  const { uid } = (await settles('quoted', 'Ready', 'True Settled')).metadata
  const config = backend.volumes.get(uid)?.get('config.yaml') ?? ''
  expect(parse(config)).toMatchObject({ name: displayName })
  expect(config).not.toContain(backend.volumes.get(uid)?.get('.auth_token'))
  const injected = { displayName: 'a\nruntime: evil' }
  await expect(make('injected', injected)).rejects.toThrow(/spec.displayName/)
  await expect(
    make('climber', { files: [{ path: '../x', configMapKeyRef: { name: 'large', key: 'text' } }] }),
  ).rejects.toThrow(/path/)
})

test('incident-54: every pass leaves a count, and every change of phase a line of history', async () => {
  await make('told')
  const { status, metadata } = await settles('told', 'Ready', 'True Settled')
  const text = await (await fetch(`${scene.operator().healthUrl}/metrics`)).text()
  const counted = [...text.matchAll(/^molecule_operator_reconcile_total\{controller="workspace".*\} (\d+)$/gm)]
  expect(counted.reduce((sum, [, count]) => sum + Number(count), 0)).toBeGreaterThan(launched.length)
  expect(status?.history?.map(({ to }) => to)).toContain('online')
  const events = await scene.query('SELECT event_type FROM structure_events WHERE workspace_id = $1', [metadata.uid])
  expect(events.map(({ event_type }) => event_type)).toContain('WORKSPACE_ONLINE')
})
