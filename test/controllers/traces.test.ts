/** One Workspace in traces, log lines, events and history: the same reconcileId joins them, and no write is made for it. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pino } from 'pino'
import { z } from 'zod'
import { controlPlane, namespace } from '../support/cluster.ts'
import { startCollector, type CollectedSpan, type Collector } from '../support/collector.ts'
import { database } from '../support/database.ts'
import { fakeWithAgents, startOperator, type TestOperator } from '../support/operator.ts'
import { until } from '../support/until.ts'
import { conditionOf, readWorkspace, runtime, workspace } from '../support/workspaces.ts'

const cluster = controlPlane()
const ns = await namespace(cluster)
const databaseUrl = await database()
const backend = fakeWithAgents()
const lines: string[] = []
const log = pino({ level: 'info', messageKey: 'msg' }, { write: (line: string) => void lines.push(line) })
let collector: Collector
let operator: TestOperator

beforeAll(async () => {
  collector = await startCollector()
  await until(() => cluster.apply([runtime('traced-agent', { default: true })]))
  operator = await startOperator({
    databaseUrl,
    backends: [backend],
    log,
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, BACKENDS: 'fake' },
  })
})
afterAll(async () => {
  await operator.stop()
  await collector.close()
  await cluster.kubectl(['delete', 'runtime', '--all', '--wait=false'])
  const unlock = ['patch', 'runtime', 'traced-agent', '--type=merge', '-p', '{"metadata":{"finalizers":null}}']
  await cluster.kubectl(unlock).catch(() => undefined)
})

const eventList = z.object({
  items: z.array(
    z.object({
      reason: z.string(),
      metadata: z.object({ annotations: z.record(z.string(), z.string()).optional() }),
      regarding: z.object({ name: z.string() }),
    }),
  ),
})

const passesOf = (name: string): readonly CollectedSpan[] =>
  collector.named('pass').filter(({ attributes }) => attributes['molecule.name'] === name)
const within = (pass: CollectedSpan | undefined, name: string) =>
  collector.named(name).filter(({ parentSpanId }) => parentSpanId === pass?.spanId)

test('a pass holds its API requests and backend calls, its SQL batches link to it, and history names it', async () => {
  await cluster.apply([workspace(ns, 'solo')])
  const made = await until(
    async () => {
      const found = await readWorkspace(cluster, ns, 'solo')
      expect(conditionOf(found.status, 'Ready')).toBe('True Settled')
      return found
    },
    { what: 'solo to be ready', within: 30_000 },
  )
  const ids = new Set((made.status?.history ?? []).map(({ reconcileId }) => reconcileId))
  expect(ids.size).toBeGreaterThan(0)
  const named = await until(() => {
    const found = passesOf('solo').filter(({ attributes }) => ids.has(String(attributes['molecule.reconcile_id'])))
    return found.length === ids.size ? found : undefined
  })
  for (const { attributes } of named)
    expect(attributes).toMatchObject({ 'molecule.kind': 'Workspace', 'molecule.namespace': ns })
  expect(named.map(({ attributes }) => attributes['molecule.outcome'])).toContain('settled')
  // Spans come some at a time, in the order in which they end.
  await until(() => {
    const requests = named.flatMap((pass) => within(pass, 'api request')).map(({ attributes }) => attributes)
    expect(requests).toContainEqual(
      expect.objectContaining({ 'molecule.verb': 'patch_status', 'http.response.status_code': 200 }),
    )
    const ensured = collector.named('backend call').find(({ attributes }) => attributes['molecule.verb'] === 'ensure')
    expect(ensured?.attributes).toMatchObject({ 'molecule.backend': 'fake', 'molecule.result': 'ok' })
    const launching = passesOf('solo').find(({ spanId }) => spanId === ensured?.parentSpanId)
    const batches = collector.named('sql batch').filter(({ links }) => links.includes(launching?.spanId ?? '-'))
    expect(batches.map(({ attributes }) => attributes['db.operation.name'])).toEqual(
      expect.arrayContaining(['record', 'launch']),
    )
    const registered = collector
      .named('platform request')
      .filter(({ attributes }) => attributes['http.route'] === '/registry/register')
    expect(registered.map(({ attributes }) => attributes['http.response.status_code'])).toContain(200)
    return true
  })
  const everything = JSON.stringify(collector.spans)
  expect(everything).not.toContain(backend.volumes.get(made.metadata.uid)?.get('.auth_token'))
})

test('an event carries the id of the pass that said it, which has a line in the log, and a span that names the reason', async () => {
  await cluster.apply([workspace(ns, 'lost', { backend: 'docker' })])
  const event = await until(async () => {
    const { items } = eventList.parse(await cluster.getJson('events.events.k8s.io', '-n', ns))
    return items.find(({ regarding }) => regarding.name === 'lost')
  })
  const id = event.metadata.annotations?.['molecule.dev/reconcile-id']
  const pass = await until(() => passesOf('lost').find(({ attributes }) => attributes['molecule.reconcile_id'] === id))
  expect(pass.attributes).toMatchObject({ 'molecule.outcome': 'blocked', 'molecule.reason': event.reason })
  const said = lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line['key'] === `${ns}/lost`)
  expect(said).toEqual([
    expect.objectContaining({ msg: 'object stalled', reason: event.reason, reconcileId: id, controller: 'workspace' }),
  ])
})

/** What a plain grep finds, with the fields of the JSON behind the name. */
const evt = (name: string, id: string) =>
  lines
    .filter((line) => line.includes(`evt: ${name} `) && line.includes(id))
    .map((line) => z.object({ msg: z.string(), reconcileId: z.string() }).parse(JSON.parse(line)))
    .map(({ msg, reconcileId }) => ({ fields: JSON.parse(msg.slice(msg.indexOf('{'))) as unknown, reconcileId }))

test('a launch and a restart are one greppable line each, joined with the pass and the row’s history', async () => {
  const { uid } = (await readWorkspace(cluster, ns, 'solo')).metadata
  const [start] = evt('provision.start', uid)
  expect(start?.fields).toMatchObject({ workspace_id: uid, name: 'solo', tier: 3, sync: false })
  expect(evt('restart.pre_stop', uid)).toEqual([])
  await cluster.kubectl(['annotate', 'ws', 'solo', '-n', ns, 'molecule.dev/restarted-at=2026-01-01T00:00:00Z'])
  await until(() => evt('provision.start', uid).length === 2, { what: 'the second launch', within: 30_000 })
  const stops = evt('restart.pre_stop', uid)
  expect(stops).toMatchObject([{ fields: { workspace_id: uid } }])
  for (const { reconcileId } of [...stops, ...evt('provision.start', uid)])
    await until(() => passesOf('solo').some(({ attributes }) => attributes['molecule.reconcile_id'] === reconcileId))
})
