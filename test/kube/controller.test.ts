/** The controller on a real API server, with a kind of its own. */
import { randomBytes } from 'node:crypto'
import { beforeAll, expect, test, type TestContext } from 'vitest'
import { finalizer, reconcileRequestedAt, type CommonStatus, type KubeObject } from '../../src/api/meta.ts'
import { milliseconds, minutes, type Duration } from '../../src/duration.ts'
import { RetryAfter, Terminal, Unavailable } from '../../src/errors.ts'
import { Allowance } from '../../src/kube/allowance.ts'
import type { Manifest, ResourceType } from '../../src/kube/client.ts'
import { Controller } from '../../src/kube/controller.ts'
import { Events } from '../../src/kube/events.ts'
import { createKube } from '../../src/kube/kube.ts'
import type { Context, Outcome, Verdict } from '../../src/kube/reconciler.ts'
import { createLogger, type Logger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { controlPlane } from '../support/cluster.ts'
import { until } from '../support/until.ts'

interface GearStatus extends CommonStatus {
  readonly fixed?: { readonly unknown?: number }
}
interface Gear extends KubeObject<{ readonly n: number }, GearStatus> {
  readonly spec: { readonly n: number; readonly pad?: string }
  readonly status?: GearStatus
}

const group = `machine-${randomBytes(3).toString('hex')}.test`
const gears: ResourceType<Gear> = {
  group,
  version: 'v1',
  kind: 'Gear',
  plural: 'gears',
  namespaced: true,
  parse: (raw) => raw as Gear,
}
const silent = createLogger('silent')
const fence = { epoch: 1n, check: () => undefined }

beforeAll(async () => {
  const free = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
  const status = { ...free, properties: { fixed: { type: 'object' } } }
  const openAPIV3Schema = { type: 'object', properties: { spec: free, status } }
  const body = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `gears.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural: 'gears', singular: 'gear', kind: 'Gear' },
      versions: [
        { name: 'v1', served: true, storage: true, subresources: { status: {} }, schema: { openAPIV3Schema } },
      ],
    },
  }
  const { kube } = await connect()
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
  await kube.transport.send({ method: 'POST', path, verb: 'create', body })
  // Stored is not yet served, and an informer that meets a 404 waits for long before it asks again.
  const served = `/apis/${group}/v1/namespaces/default/gears?dryRun=All`
  const sample = { apiVersion: `${group}/v1`, kind: 'Gear', metadata: { name: 'sample' } }
  await until(() => kube.transport.send({ method: 'POST', path: served, verb: 'create', body: sample }), {
    within: 60_000,
    what: 'the kind to be served',
  })
  await until(() => kube.transport.send({ method: 'GET', path: `/apis/${group}/v1/gears`, verb: 'list' }))
  await kube.close()
})

async function connect() {
  const metrics = createMetrics()
  const { kubeconfig } = controlPlane()
  return {
    metrics,
    kube: await createKube({ credentials: { kubeconfig }, log: silent, metrics, fieldManager: 'test' }),
  }
}

const verdict = (outcome: Outcome, ready = outcome.kind === 'settled'): Verdict<GearStatus> => ({
  outcome,
  status: {
    conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', reason: 'R', message: 'm' }],
    summary: 'fine',
    transition: { to: ready ? 'online' : 'starting', reason: 'R', actor: 'operator' },
  },
})
const settled: Outcome = { kind: 'settled' }

type Reconcile = (gear: Gear, ctx: Context, pass: number) => Promise<Verdict<GearStatus>>

/** A controller in a namespace of its own; `passes` are the generations it looked at, in order. */
async function run(
  { onTestFinished }: TestContext,
  reconcile: Reconcile,
  {
    allowance,
    log = silent,
    ...options
  }: { quiet?: Duration; workers?: number; allowance?: Allowance; log?: Logger } = {},
) {
  const { kube, metrics } = await connect()
  const namespace = `gears-${randomBytes(4).toString('hex')}`
  const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }
  await kube.transport.send({ method: 'POST', path: '/api/v1/namespaces', verb: 'setup', body })
  const informer = kube.informer({ type: gears, namespace, ...(allowance && { allowance }) })
  const events = new Events({
    transport: kube.transport,
    fence,
    controller: 'molecule.dev/test',
    instance: 'test',
    log,
  })
  const passes: Gear[] = []
  const controller = new Controller<Gear>({
    name: 'workspace',
    informer,
    client: kube.client(fence),
    fence,
    events,
    log,
    metrics,
    ...options,
    reconciler: {
      reconcile: (gear, ctx) => {
        passes.push(gear)
        return reconcile(gear, ctx, passes.length)
      },
    },
  })
  const stop = new AbortController()
  const running = [kube.start(stop.signal), controller.start(stop.signal)]
  onTestFinished(async () => {
    stop.abort()
    await Promise.all(running)
    await kube.close()
  })
  const user = (await connect()).kube
  onTestFinished(() => user.close())
  const key = (name: string) => `${namespace}/${name}`
  const manifest = (name: string, n = 1): Manifest => ({
    apiVersion: `${group}/v1`,
    kind: 'Gear',
    metadata: { name, namespace },
    spec: { n },
  })
  /** Counts a request by its answer, which may come after a watch has told what the request did. */
  const sent = async (...verbs: string[]) => {
    const { values } = await metrics.apiRequests.get()
    return values.filter(({ labels }) => verbs.includes(String(labels.verb))).reduce((sum, { value }) => sum + value, 0)
  }
  const get = (name: string) => user.client().get(gears, key(name))
  return {
    client: user.client(),
    user,
    controller,
    informer,
    passes,
    key,
    manifest,
    sent,
    get,
    namespace,
    stop,
    metrics,
  }
}

const writes = ['patch_status', 'patch', 'create', 'apply', 'delete', 'event', 'get'] as const
const conditionsOf = (gear: Gear | undefined) =>
  Object.fromEntries((gear?.status?.conditions ?? []).map(({ type, status }) => [type, status]))

test('a hundred new objects: a hundred passes, a hundred status patches, no other request', async (context) => {
  const { client, passes, manifest, sent, informer } = await run(context, async () => verdict(settled))
  await Promise.all(Array.from({ length: 100 }, (_, n) => client.create(gears, manifest(`g${n}`))))
  await until(
    () => [...informer.cache.values()].filter(({ status }) => status?.observedGeneration === 1).length === 100,
  )
  await until(async () => (await sent('patch_status')) >= 100, { what: 'the answers to the last of them' })
  expect(await sent(...writes)).toBe(100)
  expect(passes).toHaveLength(100)
})

test('an edit is seen, an acknowledged request too; a status written by ourselves is not a reason to look', async (context) => {
  const { client, passes, manifest, get, key } = await run(context, async () => verdict(settled))
  await client.create(gears, manifest('g'))
  await until(async () => (await get('g'))?.status?.observedGeneration === 1)
  await client.mergePatch(gears, key('g'), { spec: { n: 2 } })
  await until(async () => (await get('g'))?.status?.observedGeneration === 2)
  await client.mergePatch(gears, key('g'), { metadata: { annotations: { [reconcileRequestedAt]: 'please' } } })
  await until(async () => (await get('g'))?.status?.lastHandledReconcileAt === 'please')
  expect(passes).toHaveLength(3)
})

const turning: Outcome = { kind: 'again', after: milliseconds(200), waitingFor: 'the gear to turn' }

test('an expected wait that is over while all is quiet is never written', async (context) => {
  const { client, manifest, get, sent, passes } = await run(
    context,
    async (_gear, _ctx, pass) => verdict(pass <= 2 ? turning : settled),
    { quiet: minutes(5) },
  )
  await client.create(gears, manifest('g'))
  await until(async () => (await get('g'))?.status?.observedGeneration === 1)
  expect(conditionsOf(await get('g'))).toEqual({ Ready: 'True' })
  await until(async () => (await sent('patch_status')) >= 1)
  expect([await sent('patch_status'), passes.length]).toEqual([1, 3])
})

test('a wait longer than a second is written then, once', async (context) => {
  const looks: number[] = []
  const { client, manifest, get, sent, passes } = await run(context, async () => {
    looks.push(performance.now())
    return verdict(turning)
  })
  await client.create(gears, manifest('g'))
  const writes = () => sent('patch_status')
  await until(async () => (await writes()) >= 1)
  // The first pass begins to count before it knows that it waits.
  expect(performance.now() - (looks[0] ?? 0)).toBeGreaterThan(990)
  expect(passes.length).toBeGreaterThan(1)
  expect(conditionsOf(await get('g'))).toEqual({ Ready: 'False', Reconciling: 'True' })
  const seen = passes.length
  await until(() => passes.length > seen + 3)
  expect(await writes()).toBe(1)
})

test('Terminal: Stalled with the reason, one event, no retry until the object changes', async (context) => {
  const { client, manifest, get, passes, key, namespace, user } = await run(context, async ({ spec }) => {
    if (spec.n === 1) throw new Terminal('NoSuchThing', 'thing "x" does not exist')
    return verdict(settled)
  })
  await client.create(gears, manifest('g'))
  await until(async () => conditionsOf(await get('g'))['Stalled'] === 'True')
  const stalled = (await get('g'))?.status
  expect(stalled).toMatchObject({ observedGeneration: 1, summary: 'Stalled: thing "x" does not exist' })
  const path = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`
  const events = () =>
    user.transport.send({ method: 'GET', path, verb: 'list' }) as Promise<{ items: { reason: string }[] }>
  await until(async () => (await events()).items.length === 1)
  expect((await events()).items[0]).toMatchObject({ reason: 'NoSuchThing', type: 'Warning', action: 'Reconcile' })
  expect(passes).toHaveLength(1)
  await client.mergePatch(gears, key('g'), { spec: { n: 2 } })
  await until(async () => conditionsOf(await get('g'))['Ready'] === 'True')
  expect(conditionsOf(await get('g'))).toEqual({ Ready: 'True' })
})

test('one that is deleted during its pass is counted no more', async (context) => {
  const { client, manifest, passes, key, informer, controller, metrics } = await run(context, async (gear) => {
    await client.delete(gears, key('g'), gear.metadata.uid)
    await until(() => informer.cache.get(key('g')) === undefined)
    return verdict({ kind: 'blocked', reason: 'NoSuchThing', message: 'thing "x" does not exist' })
  })
  await client.create(gears, manifest('g'))
  await until(async () => (await metrics.reconciles.get()).values.some(({ value }) => value > 0))
  controller.observe()
  expect((await metrics.objectsNotReady.get()).values.filter(({ value }) => value > 0)).toEqual([])
  expect(passes).toHaveLength(1)
})

const registry = { reason: 'ImageMissing', message: 'the registry has no such image', retryAfter: milliseconds(20) }

test.for([
  ['an outcome', () => ({ kind: 'blocked' as const, ...registry })],
  [
    'a Terminal',
    () => {
      throw new Terminal(registry.reason, registry.message, { retryAfter: registry.retryAfter })
    },
  ],
] as const)(
  'blocked by something outside the cluster, by %s: looked at again, Stalled all the while, said once',
  async ([, blocked], context) => {
    let mended = false
    const { client, manifest, get, passes, sent } = await run(context, async () =>
      verdict(mended ? settled : blocked(), mended),
    )
    await client.create(gears, manifest('g'))
    await until(async () => conditionsOf(await get('g'))['Stalled'] === 'True')
    const stalled = await get('g')
    const seen = passes.length
    await until(() => passes.length > seen + 10)
    expect(await sent('patch_status', 'event')).toBe(2)
    expect((await get('g'))?.metadata.resourceVersion).toBe(stalled?.metadata.resourceVersion)
    mended = true
    await until(async () => conditionsOf(await get('g'))['Ready'] === 'True')
    expect(conditionsOf(await get('g'))).toEqual({ Ready: 'True' })
    expect(await sent('patch_status', 'event')).toBe(3)
  },
)

test('an error is tried again with backoff, and said once it lasts; RetryAfter is neither', async (context) => {
  let broken = true
  const { client, manifest, get, passes } = await run(context, async ({ metadata }, _ctx, pass) => {
    if (metadata.name === 'waits' && pass === 1) throw new RetryAfter(milliseconds(100), 'throttled')
    if (metadata.name === 'fails' && broken) throw new Error('no route to the gear')
    return verdict(settled)
  })
  await client.create(gears, manifest('waits'))
  await until(async () => conditionsOf(await get('waits'))['Ready'] === 'True')
  expect(passes).toHaveLength(2)
  await client.create(gears, manifest('fails'))
  await until(async () => conditionsOf(await get('fails'))['Reconciling'] === 'True', { within: 30_000 })
  expect((await get('fails'))?.status?.summary).toBe('no route to the gear')
  expect(passes.length).toBeGreaterThanOrEqual(5)
  broken = false
  await until(async () => conditionsOf(await get('fails'))['Ready'] === 'True', { within: 60_000 })
  expect(conditionsOf(await get('fails'))).toEqual({ Ready: 'True' })
}, 120_000)

test('claimed once, and let go only when its pass says so', async (context) => {
  let proved = false
  const { client, manifest, get, passes, key, sent, informer } = await run(context, async ({ metadata }, ctx) => {
    if (metadata.deletionTimestamp !== undefined) {
      if (!proved) return verdict({ kind: 'again', after: milliseconds(50), waitingFor: 'proof' })
      await ctx.release()
      return verdict(settled)
    }
    await ctx.claim()
    return verdict(settled)
  })
  await client.create(gears, manifest('g'))
  await until(async () => (await get('g'))?.status?.observedGeneration === 1)
  const gear = await get('g')
  expect(gear?.metadata.finalizers).toEqual([finalizer])
  expect([await sent('patch'), passes.length]).toEqual([1, 1])
  await client.delete(gears, key('g'), gear?.metadata.uid ?? '')
  await until(() => passes.length > 3)
  expect(await get('g')).toBeDefined()
  proved = true
  await until(async () => (await get('g')) === undefined)
  await until(() => informer.cache.size === 0)
})

test('stopped: the pass under way is waited for, and its signal is aborted', async (context) => {
  let ended = false
  const { client, manifest, passes, stop } = await run(context, async (_gear, ctx) => {
    await until(() => ctx.signal.aborted, { every: 5 })
    ended = true
    return verdict(settled)
  })
  await client.create(gears, manifest('g'))
  await until(() => passes.length === 1)
  stop.abort()
  await until(() => ended)
})

test('what one change means for a great many comes behind whatever else changes', async (context) => {
  const gate = Promise.withResolvers<void>()
  let held = false
  const { client, controller, passes, manifest, informer, key } = await run(context, async () => {
    if (held) await gate.promise
    return verdict(settled)
  })
  const names = Array.from({ length: 120 }, (_, n) => `g${n}`)
  await Promise.all(names.map((name) => client.create(gears, manifest(name))))
  await until(
    () => [...informer.cache.values()].filter(({ status }) => status?.observedGeneration === 1).length === names.length,
  )
  let tell = () => {}
  const source = { onChange: (listener: (change: never) => void) => void (tell = () => listener(undefined as never)) }
  controller.watch(source, () => names.map(key))
  const before = passes.length
  held = true
  tell()
  await until(() => passes.length === before + 64, { what: 'every worker to be at work' })
  controller.enqueue(key('g119'))
  gate.resolve()
  await until(() => passes.length === before + names.length)
  expect(passes[before + 64]?.metadata.name).toBe('g119')
})

test('a part of the status that the CRD does not have is not written again and again', async (context) => {
  const { client, passes, manifest } = await run(context, async () => {
    const { outcome, status } = verdict(settled)
    return { outcome, status: { ...status, fixed: { unknown: 1 } } }
  })
  const passesOf = (name: string) => passes.filter(({ metadata }) => metadata.name === name).length
  await client.create(gears, manifest('g'))
  await until(() => passesOf('g') === 2)
  // What would come of the second pass of one comes before what comes of the first pass of the other.
  await client.create(gears, manifest('h'))
  await until(() => passesOf('h') === 2)
  expect(passesOf('g')).toBe(2)
})

test('objects beyond the share of their namespace end one after the other, and hold up no worker', async (context) => {
  const gate = Promise.withResolvers<void>()
  let [together, most] = [0, 0]
  const { client, passes, manifest, informer, key } = await run(
    context,
    async (gear, ctx) => {
      if (gear.metadata.deletionTimestamp === undefined) return verdict(settled)
      most = Math.max(most, ++together)
      await gate.promise
      together--
      await ctx.release()
      return verdict(settled)
    },
    { workers: 2, allowance: new Allowance({ perNamespace: 20_000, total: 1e9, always: 0 }) },
  )
  for (const name of ['a', 'b', 'c']) {
    const { metadata, ...rest } = manifest(name)
    const large = {
      ...rest,
      metadata: { ...metadata, finalizers: [finalizer] },
      spec: { n: 1, pad: 'x'.repeat(30_000) },
    }
    const made = await client.create(gears, large)
    await client.delete(gears, key(name), made.metadata.uid)
  }
  await until(() => [...informer.cache.values()].filter((each) => each.metadata.deletionTimestamp).length === 3)
  await until(() => most === 1)
  await client.create(gears, manifest('small'))
  await until(() => passes.some(({ metadata }) => metadata.name === 'small'))
  gate.resolve()
  await until(() => informer.cache.size === 1)
  expect(most).toBe(1)
})

interface Line {
  readonly level: string
  readonly msg: string
  readonly key?: string
  readonly reconcileId?: string
  readonly reason?: string
}

function recorder() {
  const lines: Line[] = []
  return { lines, log: createLogger('info', { write: (line) => void lines.push(JSON.parse(line) as Line) }) }
}

interface Told {
  readonly reason: string
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> }
}

test('why each is not ready is said once, under the id that its event carries; the same again is not', async (context) => {
  const { log, lines } = recorder()
  const { client, manifest, get, key, user, namespace, passes } = await run(
    context,
    async ({ metadata: { name } }, ctx, pass) => {
      switch (name) {
        case 'stalled':
          return verdict({ kind: 'blocked', reason: 'WrongGear', message: 'it does not fit' })
        case 'refused':
          throw new Terminal('WrongSize', 'it is too large')
        case 'waiting':
          return verdict({ kind: 'again', after: milliseconds(50), waitingFor: 'oil' })
        case 'failing':
          throw new Error('it broke', { cause: new Error('the tooth') })
        default:
          ctx.event('Normal', 'Turned', `for the ${String(pass)}th time`)
          return verdict(settled)
      }
    },
    { log, quiet: milliseconds(0) },
  )
  const names = ['stalled', 'refused', 'waiting', 'failing', 'fine']
  for (const name of names) await client.create(gears, manifest(name))
  for (const name of names.filter((name) => name !== 'failing'))
    await until(async () => (await get(name))?.status?.observedGeneration === 1, { what: name })
  for (let n = 2; n < 5; n++)
    for (const name of ['stalled', 'refused']) {
      await client.mergePatch(gears, key(name), { spec: { n } })
      await until(async () => (await get(name))?.status?.observedGeneration === n)
    }
  await until(() => passes.filter(({ metadata }) => metadata.name === 'failing').length > 2)
  const said = (name: string) =>
    lines.filter((line) => line.key === key(name)).map(({ level, msg }) => `${level} ${msg}`)
  expect(Object.fromEntries(names.map((name) => [name, said(name)]))).toEqual({
    stalled: ['warn object stalled'],
    refused: ['warn object stalled'],
    waiting: ['info object waits'],
    failing: ['error pass failed'],
    fine: ['info event told'],
  })
  const path = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`
  const events = await until(async () => {
    const { items } = (await user.transport.send({ method: 'GET', path, verb: 'list' })) as { items: Told[] }
    return items.length >= 3 ? items : undefined
  })
  for (const { reason, metadata } of events) {
    const id = metadata.annotations?.['molecule.dev/reconcile-id']
    expect([reason, lines.some(({ reconcileId }) => reconcileId === id && id !== undefined)]).toEqual([reason, true])
  }
})

test('what waits for the operator’s own needs is tried at a steady pace however long it lasts, and is no error', async (context) => {
  const { log, lines } = recorder()
  const { client, manifest, passes, metrics } = await run(
    context,
    async (_gear, _ctx, pass) => {
      if (pass > 12) return verdict(settled)
      throw new Unavailable(milliseconds(100), 'the store is away', { reason: 'DatabaseUnavailable' })
    },
    { log, quiet: milliseconds(0) },
  )
  const began = performance.now()
  await client.create(gears, manifest('g'))
  await until(() => passes.length > 12, { within: 10_000 })
  expect(performance.now() - began).toBeLessThan(8000)
  const { values } = await metrics.reconciles.get()
  const ended = (outcome: string) => values.find(({ labels }) => labels.outcome === outcome)?.value
  expect([ended('unavailable'), ended('error'), ended('again')]).toEqual([12, 0, 0])
  expect(lines.map(({ level, msg, reason }) => [level, msg, reason])).toEqual([
    ['info', 'object waits', 'DatabaseUnavailable'],
  ])
})
