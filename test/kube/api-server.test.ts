/** The machine against a real kube-apiserver and etcd of its own, since some tests here kill it. */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { Allowance } from '../../src/kube/allowance.ts'
import type { Informer } from '../../src/kube/informer.ts'
import { createKube, type Kube } from '../../src/kube/kube.ts'
import { KubeError } from '../../src/kube/kube-error.ts'
import { findBinaries, startControlPlane, type ControlPlane } from '../../src/dev/control-plane.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts'
import { until } from '../support/until.ts'
import { configMap, configMaps, type ConfigMap } from './config-maps.ts'

const log = createLogger('silent')
const report = () => undefined
let plane: ControlPlane

beforeAll(async () => {
  const dir = join(tmpdir(), `molecule-kube-${randomBytes(4).toString('hex')}`)
  plane = await startControlPlane({ binaries: await findBinaries(report), dir, report })
})
afterAll(() => plane.stop())

async function connect(kubeconfig = plane.kubeconfig): Promise<{ kube: Kube; metrics: Metrics }> {
  const metrics = createMetrics()
  const kube = await createKube({ credentials: { kubeconfig }, log, metrics, fieldManager: 'test' })
  onTestFinished(() => kube.close())
  return { kube, metrics }
}

async function follow(kube: Kube, namespace: string): Promise<Informer<ConfigMap>> {
  const informer = kube.informer({ type: configMaps, namespace })
  const stop = new AbortController()
  const running = kube.start(stop.signal)
  onTestFinished(async () => {
    stop.abort()
    await running
  })
  await informer.synced
  return informer
}

async function freshNamespace(kube: Kube): Promise<string> {
  const name = `test-${randomBytes(4).toString('hex')}`
  const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }
  await kube.transport.send({ method: 'POST', path: '/api/v1/namespaces', verb: 'create', body })
  return name
}

/** How many requests were answered well: one that a server which is just beginning puts off is sent again. */
const answers = async (metrics: Metrics, verb: string): Promise<number> => {
  const { values } = await metrics.apiRequests.get()
  return values
    .filter(({ labels }) => labels.verb === verb && Number(labels.code) === 200)
    .reduce((sum, { value }) => sum + value, 0)
}

test('1,200 objects are listed by pages, then followed', async () => {
  const { kube } = await connect()
  const namespace = await freshNamespace(kube)
  const client = kube.client()
  for (let from = 0; from < 1200; from += 32)
    await Promise.all(
      Array.from({ length: Math.min(32, 1200 - from) }, (_, n) =>
        client.create(configMaps, configMap(namespace, `c-${from + n}`)),
      ),
    )
  const { kube: reader, metrics } = await connect()
  const informer = await follow(reader, namespace)
  expect(informer.cache.size).toBe(1200)
  expect(await answers(metrics, 'list')).toBe(3)
  const one = informer.cache.get(`${namespace}/c-7`)
  expect(one).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' })
  expect(one?.metadata).not.toHaveProperty('managedFields')
  await client.delete(configMaps, `${namespace}/c-7`, one?.metadata.uid ?? '')
  await until(() => informer.cache.size === 1199)
})

test('what we wrote is in the cache before the call returns', async () => {
  const { kube } = await connect()
  const namespace = await freshNamespace(kube)
  const informer = await follow(kube, namespace)
  const client = kube.client()
  const key = `${namespace}/mine`
  await client.create(configMaps, configMap(namespace, 'mine'))
  for (let n = 0; n < 50; n++) {
    await client.mergePatch(configMaps, key, { data: { n: String(n) } })
    expect(informer.cache.get(key)?.data?.['n']).toBe(String(n))
  }
})

test('what we deleted and what still waits for its finalizers is so in the cache before the call returns', async () => {
  const { kube } = await connect()
  const namespace = await freshNamespace(kube)
  const informer = await follow(kube, namespace)
  const client = kube.client()
  for (let n = 0; n < 20; n++) {
    const key = `${namespace}/held-${n}`
    const { metadata } = await client.create(configMaps, configMap(namespace, `held-${n}`))
    await client.mergePatch(configMaps, key, { metadata: { finalizers: ['molecule.dev/test'] } })
    await client.delete(configMaps, key, metadata.uid)
    expect(informer.cache.get(key)?.metadata.deletionTimestamp).toBeDefined()
    await client.mergePatch(configMaps, key, { metadata: { finalizers: null } })
    expect(informer.cache.get(key)).toBeUndefined()
  }
})

test('server-side apply makes and changes; delete spares another object of that name', async () => {
  const { kube } = await connect()
  const namespace = await freshNamespace(kube)
  const client = kube.client()
  const made = await client.apply(configMaps, configMap(namespace, 'a', { x: '1' }))
  const changed = await client.apply(configMaps, configMap(namespace, 'a', { y: '2' }))
  expect(changed.data).toEqual({ y: '2' })
  await client.delete(configMaps, `${namespace}/a`, '00000000-0000-0000-0000-000000000000')
  expect(await client.get(configMaps, `${namespace}/a`)).toBeDefined()
  await client.delete(configMaps, `${namespace}/a`, made.metadata.uid)
  await client.delete(configMaps, `${namespace}/a`, made.metadata.uid)
  expect(await client.get(configMaps, `${namespace}/a`)).toBeUndefined()
})

test('errors say what they are', async () => {
  const { kube } = await connect()
  const namespace = await freshNamespace(kube)
  const client = kube.client()
  await client.create(configMaps, configMap(namespace, 'a'))
  const again: unknown = await client.create(configMaps, configMap(namespace, 'a')).catch((error: unknown) => error)
  expect(again).toMatchObject({ code: 409, isAlreadyExists: true, isConflict: false })
  const stale = { metadata: { resourceVersion: '1' }, data: {} }
  const conflict: unknown = await client
    .mergePatch(configMaps, `${namespace}/a`, stale)
    .catch((error: unknown) => error)
  expect(conflict).toBeInstanceOf(KubeError)
  expect(conflict).toMatchObject({ code: 409, isConflict: true })
  const nobody = await connect(await plane.userKubeconfig('nobody'))
  const refused: unknown = await nobody.kube
    .client()
    .get(configMaps, `${namespace}/a`)
    .catch((error: unknown) => error)
  expect(refused).toMatchObject({ isForbidden: true })
})

test('a namespace that opens later is read within fifteen seconds of its role binding', async () => {
  const { kube: admin } = await connect()
  const namespace = await freshNamespace(admin)
  const kubeconfig = await plane.userKubeconfig('reader')
  const { kube } = await connect(kubeconfig)
  const allowance = new Allowance({ perNamespace: 1000, total: 1000, always: 0 })
  const followed = kube.follow({ type: configMaps, allowance, referred: () => true, concerned: () => true })
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  followed.start(stop.signal)
  const state = () => followed.stateOf(namespace)
  await until(() => state() === 'forbidden', { within: 30_000 })
  await plane.kubectl(['create', 'role', 'read', '-n', namespace, '--verb=get,list,watch', '--resource=configmaps'])
  await plane.kubectl(['create', 'rolebinding', 'read', '-n', namespace, '--role=read', '--user=reader'])
  // The binding is in force a moment after it is stored: whoever asks in between waits for another round.
  await until(() => plane.kubectl(['auth', 'can-i', 'list', 'configmaps', '-n', namespace], { kubeconfig }))
  await until(() => state() === 'synced', { within: 20_000 })
}, 120_000)

test('the API server killed for a while: nothing lost, back within seconds', async () => {
  const { kube } = await connect()
  const namespace = await freshNamespace(kube)
  const informer = await follow(kube, namespace)
  const client = kube.client()
  await client.create(configMaps, configMap(namespace, 'before'))
  await plane.apiServer.kill()
  await until(() => kube.transport.dependency.trouble !== undefined)
  await plane.apiServer.start()
  await until(
    () => client.create(configMaps, configMap(namespace, 'after')).then(Boolean, (e: KubeError) => e.isAlreadyExists),
    { within: 30_000 },
  )
  await plane.kubectl(['create', 'configmap', 'by-hand', '-n', namespace])
  await until(() => informer.cache.get(`${namespace}/by-hand`) !== undefined, { within: 20_000 })
  expect(informer.cache.size).toBe(3)
}, 180_000)

/** For what takes a process to start, or a lease of eight seconds to run out, on a machine that may be busy. */
const long = { within: 45_000 }

interface Operator {
  readonly name: string
  readonly process: ChildProcess
  readonly lines: string[]
  readonly exit: Promise<unknown[]>
}

function startOperator(namespace: string, name: string): Operator {
  const file = join(import.meta.dirname, 'operator-process.ts')
  const child = spawn(process.execPath, [file, plane.kubeconfig, namespace, name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines: string[] = []
  createInterface(child.stdout).on('line', (line) => lines.push(line))
  const exit = once(child, 'exit')
  onTestFinished(() => void child.kill('SIGKILL'))
  return { name, process: child, lines, exit }
}

async function leaderOf(operators: readonly Operator[]): Promise<[Operator, Operator]> {
  const leads = ({ lines }: Operator) => lines.includes('leading')
  const leader = await until(() => operators.find(leads), long)
  const other = operators.find((operator) => operator !== leader)
  if (!other) throw new Error('two operators are needed')
  expect(leads(other)).toBe(false)
  return [leader, other]
}

interface Beat {
  readonly writer: string
  /** The machine's monotonic time at which its writer asked for it, ns. */
  readonly asked: bigint
}

/** The beats, in the order in which the API server saw them. */
async function beatsOf(kube: Kube, namespace: string): Promise<Beat[]> {
  const informer = await follow(kube, namespace)
  const beats: Beat[] = []
  informer.onChange(({ after: { data } = {} }) => {
    if (data) beats.push({ writer: data['writer'] ?? '', asked: BigInt(data['asked'] ?? 0) })
  })
  return beats
}

test('two operators: one leads; frozen and thawed, it writes nothing it was not writing before, and ends', async () => {
  const { kube } = await connect()
  const namespace = await freshNamespace(kube)
  await kube.client().create(configMaps, configMap(namespace, 'beat'))
  const beats = await beatsOf(kube, namespace)
  const [first, second] = await leaderOf([startOperator(namespace, 'one'), startOperator(namespace, 'two')])
  const from = ({ name }: Operator) => beats.filter(({ writer }) => writer === name)
  await until(() => from(first).length > 0, long)
  first.process.kill('SIGSTOP')
  await until(() => from(second).length > 0, long)
  const thawed = process.hrtime.bigint()
  first.process.kill('SIGCONT')
  expect((await first.exit)[0]).toBe(3)
  const before = from(second).length
  await until(() => from(second).length > before + 20, long)
  // Not that nothing of it arrives: between the look at the clock and the system call that sends, a process can be
  // frozen unawares, and the API server knows no epochs.
  expect(from(first).filter(({ asked }) => asked > thawed)).toEqual([])
}, 240_000)

test('an API server away for longer than the lease ends nobody: the leader goes on when it is back', async () => {
  const { kube } = await connect()
  const namespace = await freshNamespace(kube)
  await kube.client().create(configMaps, configMap(namespace, 'beat'))
  const beats = await beatsOf(kube, namespace)
  const operator = startOperator(namespace, 'one')
  await until(() => beats.length > 0, long)
  await plane.apiServer.kill()
  const away = performance.now()
  await until(() => performance.now() - away > 9000)
  await plane.apiServer.start()
  const seen = beats.length
  await until(() => beats.length > seen + 5, long)
  expect(operator.process.exitCode).toBeNull()
}, 240_000)

test('SIGTERM: the lease is given back, and the other leads without waiting for it to run out', async () => {
  const { kube } = await connect()
  const namespace = await freshNamespace(kube)
  await kube.client().create(configMaps, configMap(namespace, 'beat'))
  const beats = await beatsOf(kube, namespace)
  const [first, second] = await leaderOf([startOperator(namespace, 'one'), startOperator(namespace, 'two')])
  await until(() => beats.some(({ writer }) => writer === first.name), long)
  first.process.kill('SIGTERM')
  expect((await first.exit)[0]).toBe(0)
  const holder = await plane.kubectl([
    'get',
    'lease',
    'operator',
    '-n',
    namespace,
    '-o',
    'jsonpath={.spec.holderIdentity}',
  ])
  expect(['', second.name]).toContain(holder)
  await until(() => beats.some(({ writer }) => writer === second.name), long)
}, 240_000)

// As after a store was put back that has none yet: a write to it would make it anew, had it no version and no uid.
test('a lease that is gone ends its holder, which makes none in its place', async () => {
  const { kube } = await connect()
  const namespace = await freshNamespace(kube)
  await kube.client().create(configMaps, configMap(namespace, 'beat'))
  const operator = startOperator(namespace, 'one')
  await until(() => operator.lines.includes('leading'), long)
  await plane.kubectl(['delete', 'lease', 'operator', '-n', namespace])
  expect((await operator.exit)[0]).toBe(3)
  expect(operator.lines).toContain('failed: the lease is gone')
  expect(await plane.kubectl(['get', 'lease', '-n', namespace, '-o', 'name'])).toBe('')
}, 240_000)
