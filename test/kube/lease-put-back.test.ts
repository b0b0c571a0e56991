/**
 * A store that was put back and has outgrown all that was seen of it: no version of a list tells, the lease does. Against a
 * server that is put back on command, and whose watches then stay silent about what was lost.
 */
import { expect, test, type TestContext } from 'vitest'
import { milliseconds, seconds } from '../../src/duration.ts'
import { Fenced } from '../../src/errors.ts'
import { Allowance } from '../../src/kube/allowance.ts'
import { Kube } from '../../src/kube/kube.ts'
import { Leader } from '../../src/kube/leader.ts'
import { Manager } from '../../src/kube/manager.ts'
import { Probes } from '../../src/kube/probes.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { FaultServer, things } from './fault-server.ts'
import { until } from '../support/until.ts'

const log = createLogger('silent')

/** A server with ada and ben, as a backup may have them. */
async function begin({ onTestFinished }: TestContext) {
  const server = await new FaultServer().start()
  onTestFinished(() => server.stop())
  for (const name of ['ada', 'ben']) server.put(name)
  return server
}

/** A process that follows the things in two ways, and leads when it can. */
async function start({ onTestFinished }: TestContext, server: FaultServer, identity = 'me') {
  const metrics = createMetrics()
  const kube = new Kube({ credentials: {}, log, metrics, fieldManager: identity }, server.transport(), 'here')
  const informer = kube.informer({ type: things })
  const allowance = new Allowance({ perNamespace: 1e9, total: 1e9, always: 0 })
  const followed = kube.follow({ type: things, allowance, referred: () => true, concerned: () => true })
  const leader = new Leader({
    transport: kube.transport,
    namespace: 'here',
    name: 'operator',
    identity,
    beginEpoch: () => Promise.resolve(1n),
    log,
    metrics,
    times: { lease: seconds(6), attempt: seconds(2), retry: milliseconds(100), margin: seconds(1) },
  })
  const manager = new Manager({ kube, leader, probes: new Probes({ kube, metrics, port: 0, host: '127.0.0.1' }), log })
  const stop = new AbortController()
  const ended = manager.run(stop.signal)
  ended.catch(() => undefined)
  onTestFinished(async () => {
    stop.abort()
    await ended.catch(() => undefined)
  })
  const nOf = (name: string) => {
    const seen = followed.look('here', name)
    return seen.state === 'found' ? seen.object.spec.n : seen.state
  }
  /** What it knows: in the cache, and of the three that are followed. */
  const known = () => ({
    cache: [...informer.cache.values()].map(({ metadata, spec }) => `${metadata.name} ${String(spec.n)}`).sort(),
    followed: ['ada', 'ben', 'dot'].map(nOf),
    state: informer.state,
  })
  await until(() => {
    expect(known()).toEqual(before)
    return true
  })
  return { leader, known, ended, stop }
}

const before = { cache: ['ada 1', 'ben 1'], followed: [1, 1, 'missing'], state: 'synced' }
const lost = { cache: ['ada 2', 'dot 1'], followed: [2, 'missing', 1], state: 'synced' }

/** What a backup of now does not have: an edit, a deletion, an object. */
async function live(server: FaultServer, known: () => object): Promise<void> {
  // The watches are open, so that nothing but the lease asks the server for anything.
  await until(() => server.openWatches === 2)
  server.put('ada', 2)
  server.delete('ben')
  server.put('dot')
  await until(() => {
    expect(known()).toEqual(lost)
    return true
  })
}

const listsOf = ({ seen }: FaultServer) =>
  seen.filter(
    ({ method, url: { pathname, searchParams } }) =>
      method === 'GET' && pathname.endsWith('/things') && searchParams.get('limit') === '500',
  ).length

const renewTime = ({ lease }: FaultServer) => lease.record?.spec.renewTime ?? ''

/** Renewed so many times from now on. */
async function renewed(server: FaultServer, times: number): Promise<void> {
  for (let n = 0; n < times; n++) {
    const last = renewTime(server)
    await until(() => renewTime(server) > last, { every: 5 })
  }
}

const touches: Record<string, (server: FaultServer) => void> = {
  'as it was': () => undefined,
  // Something else writes to the record (a label, an annotation): its version is new, its times are not.
  'written to since': ({ lease }) => lease.write({}),
}
for (const [how, touch] of Object.entries(touches)) {
  test.concurrent(`the holder finds its record of before, ${how}: everything is read anew, once`, async (context) => {
    const server = await begin(context)
    const { leader, known } = await start(context, server)
    await until(() => leader.leads)
    const putBack = server.backup()
    await live(server, known)
    await renewed(server, 2)
    const [lists, taken] = [listsOf(server), server.lease.record?.spec.acquireTime ?? '']
    putBack()
    server.pass(1000)
    touch(server)
    await until(() => {
      expect(known()).toEqual(before)
      return true
    })
    // It leads on, and says to other replicas that its record is not the one that they knew.
    await renewed(server, 2)
    expect(leader.leads).toBe(true)
    expect(server.lease.record?.spec.acquireTime ?? '').toMatch(/Z$/)
    expect((server.lease.record?.spec.acquireTime ?? '') > taken).toBe(true)
    expect(listsOf(server)).toBe(lists + 2)
    // And it goes on from there.
    server.put('ada', 3)
    await until(() => known().cache.join() === 'ada 3,ben 1')
  })
}

const other = { holderIdentity: 'other', leaseDurationSeconds: 600 }
const at = (second: number) => `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000Z`

const histories: Record<string, (server: FaultServer) => void> = {
  'its holder takes it anew before the other looks': ({ lease }) =>
    lease.write({ acquireTime: at(30), renewTime: at(30) }),
  'a third takes it before the other looks': ({ lease }) =>
    lease.write({ holderIdentity: 'third', acquireTime: at(30), renewTime: at(30) }),
  'it was not there yet, and a third makes it before the other looks': ({ lease }) => {
    lease.record = undefined
    lease.write({ ...other, holderIdentity: 'third', acquireTime: at(30), renewTime: at(30) }, { uid: 'second' })
  },
  'it stays as it was': () => undefined,
}
for (const [how, write] of Object.entries(histories)) {
  test.concurrent(`one that waits for the lease reads everything anew: ${how}`, async (context) => {
    const server = await begin(context)
    server.lease.write({ ...other, acquireTime: at(1), renewTime: at(1) }, { uid: 'first' })
    const { leader, known } = await start(context, server)
    await seenAgain(server)
    const putBack = server.backup()
    await live(server, known)
    server.lease.write({ renewTime: at(12) })
    await seenAgain(server)
    const lists = listsOf(server)
    putBack()
    server.pass(1000)
    write(server)
    await until(() => {
      expect(known()).toEqual(before)
      return true
    })
    await seenAgain(server)
    expect(listsOf(server)).toBe(lists + 2)
    expect(leader.leads).toBe(false)
  })
}

test.concurrent('one that waits finds no lease: it reads everything anew, and leads', async (context) => {
  const server = await begin(context)
  const putBackLease = server.backup()
  server.lease.write({ ...other, acquireTime: at(1), renewTime: at(1) }, { uid: 'first' })
  const { leader, known } = await start(context, server)
  await live(server, known)
  await seenAgain(server)
  putBackLease()
  server.pass(1000)
  await until(() => {
    expect(known()).toEqual(before)
    return leader.leads
  })
})

test.concurrent('the holder whose lease is gone ends: its next process reads everything', async (context) => {
  const server = await begin(context)
  const { leader, ended } = await start(context, server)
  await until(() => leader.leads)
  server.lease.record = undefined
  await expect(ended).rejects.toThrow(new Fenced('the lease is gone'))
})

test.concurrent(
  'a renewal whose answer is lost, and one replica after the other: nothing is read anew',
  async (context) => {
    const server = await begin(context)
    const one = await start(context, server, 'one')
    await until(() => one.leader.leads)
    const two = await start(context, server, 'two')
    await until(() => server.openWatches === 4)
    const lists = listsOf(server)
    server.lease.loseAnswer = true
    await until(() => server.lease.conflicts > 0)
    await renewed(server, 3)
    one.stop.abort()
    await until(() => two.leader.leads)
    await renewed(server, 3)
    expect(listsOf(server)).toBe(lists)
  },
)

/** The lease has been read twice from now on: what was there before the second time was seen. */
async function seenAgain({ seen }: FaultServer): Promise<void> {
  const reads = () => seen.filter(({ method, url }) => method === 'GET' && url.pathname.includes('/leases')).length
  const so = reads()
  await until(() => reads() >= so + 2, { every: 5 })
}
