/** What an agent reaches from inside its container, and what the networks of namespaces cost and leave. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { InstanceSpec } from '../../src/backends/backend.ts'
import { DockerBackend } from '../../src/backends/docker/backend.ts'
import { metadataAddresses } from '../../src/backends/docker/translate.ts'
import { RetryAfter } from '../../src/errors.ts'
import { never, until } from '../contract/backend.contract.ts'
import { Dialers } from './dialers.ts'
import { docker, engineAnswers, host } from './engine.ts'
import { openProxy } from './proxy.ts'

describe.skipIf(!engineAnswers)('with an engine', () => {
  const run = randomUUID().slice(0, 8)
  const operatorInstance = `networks-${run}`
  const marks = { filters: { label: [`molecule.dev/operator=${operatorInstance}`] } }
  const dialers = new Dialers()
  const backend = dialers.open(operatorInstance)
  const agent = (namespace: string, by = backend) => dialers.agent(namespace, by)
  const launched = (namespace: string, by = backend) => dialers.launched(namespace, by)
  const gone = (ref: InstanceSpec['ref'], by = backend) => dialers.gone(ref, by)
  const networks = () => docker.listNetworks(marks)

  beforeAll(() => dialers.prepare(), 180_000)
  afterAll(() => dialers.clear(), 180_000)

  test('agents reach one another neither by address nor by name, in one namespace or two, and learn no foreign name', async () => {
    const [one, beside, other] = [await launched('a'), await launched('a'), await launched('b')]
    // The proof that there is something to be reached.
    for (const each of [one, beside, other]) expect(await each.find({})).toEqual({ dials: [], names: [] })
    expect(one.network).toBe(beside.network)
    expect(one.network).not.toBe(other.network)
    const { dials, names } = await one.find({
      dials: [beside, other].flatMap(({ ip, ref }) => [[ip, 8000] as const, [`ws-${ref.uid}`, 8000] as const]),
      names: [other.ip],
    })
    expect(dials).toEqual([
      expect.stringMatching(/silence|EHOSTUNREACH/),
      expect.stringMatching(/silence|EHOSTUNREACH/),
      expect.stringMatching(/silence|EHOSTUNREACH|ECONNREFUSED/),
      expect.stringMatching(/ENOTFOUND|EAI_AGAIN/),
    ])
    expect(names).toEqual([expect.stringMatching(/^E/)])
    for (const each of [one, beside, other]) expect(each.seen.exposure).toBeUndefined()
  })

  test('metadata addresses are the container’s own, and no address of IPv6 is given', async () => {
    const one = await launched('a')
    const { dials } = await one.find({ dials: metadataAddresses.map((address) => [address, 80] as const) })
    expect(dials).toEqual(metadataAddresses.map(() => 'ECONNREFUSED'))
    expect(await docker.getNetwork(one.network).inspect()).toMatchObject({
      EnableIPv6: false,
      Options: { 'com.docker.network.bridge.enable_icc': 'false' },
    })
  })

  test('an engine that leaves the metadata addresses out without a word gets no agent', async () => {
    const proxy = await openProxy(host, undefined, {
      rewrite: ({ url }, body) =>
        url?.includes('/containers/create') === true
          ? body.replaceAll(/"IPAMConfig":\{[^}]*\}/g, '"IPAMConfig":{}')
          : body,
    })
    onTestFinished(() => proxy.close())
    const careless = new DockerBackend({ host: proxy.host, operatorInstance })
    const spec = agent('careless')
    await expect(careless.ensure(spec, never)).rejects.toMatchObject({
      name: 'Terminal',
      reason: 'MetadataReachable',
      message: expect.stringContaining('169.254.169.254'),
    })
    expect(await docker.listContainers({ all: true, filters: { name: [spec.ref.uid] } })).toEqual([])
  })

  test(
    'forty namespaces at once have forty networks, which go with their last instance',
    { timeout: 180_000 },
    async () => {
      const forty = dialers.open(`forty-${run}`)
      const mine = { filters: { label: [`molecule.dev/operator=forty-${run}`] } }
      const begun = performance.now()
      const all = await Promise.all(Array.from({ length: 40 }, (_, at) => launched(`tenant-${at}`, forty)))
      expect(performance.now() - begun).toBeLessThan(90_000)
      expect(new Set(all.map(({ network }) => network)).size).toBe(40)
      expect(await docker.listNetworks(mine)).toHaveLength(40)
      await Promise.all(all.map(({ ref }) => gone(ref, forty)))
      expect(await docker.listNetworks(mine)).toEqual([])
    },
  )

  test('a namespace with more agents than a network has addresses gets a further one, until the pool is used up', async () => {
    const pool = ['10.202.7.0/29', '10.202.7.8/29']
    const small = dialers.open(`small-${run}`, pool)
    const six = await Promise.all(Array.from({ length: 6 }, () => launched('full', small)))
    const names = await docker.listNetworks({ filters: { label: [`molecule.dev/operator=small-${run}`] } })
    expect(names.map(({ Name }) => Name.replace(/^(molecule-[0-9a-f]{12}){1}-[0-9a-f]{12}/, '')).sort()).toEqual([
      '',
      '-2',
    ])
    expect(new Set(six.map(({ network }) => network)).size).toBe(2)
    await Promise.all(Array.from({ length: 4 }, () => launched('full', small)))
    const late = agent('full', small)
    await expect(small.ensure(late, never)).rejects.toMatchObject({
      name: 'RetryAfter',
      reason: 'NetworkPoolExhausted',
      message: expect.stringContaining('10.202.7.0/29'),
    })
    expect(await docker.listContainers({ all: true, filters: { name: [late.ref.uid] } })).toEqual([])
    // A place that becomes free is taken again.
    await until('one is gone', async () => (await small.remove(six[0]?.ref ?? late.ref, 'delete', never)) === 'gone')
    await small.ensure(late, never)
  })

  test('two operators that begin at once on one pool take different subnets, also where one of them runs twice', async () => {
    const pool = ['10.202.8.0/24']
    const open = (name: string) => dialers.open(`${name}-${run}`, pool)
    const [x, y, again] = [open('x'), open('y'), open('x')]
    const patiently = (by: DockerBackend) =>
      until('it is launched', () =>
        launched('n', by).catch((error: unknown) => (error instanceof RetryAfter ? undefined : Promise.reject(error))),
      )
    const made = await Promise.all([x, y, again].map(patiently))
    expect(made[0]?.network).toBe(made[2]?.network)
    expect(made[0]?.network).not.toBe(made[1]?.network)
  })

  test('a network of that name which is not ours is never used, nor one of ours that lets its containers talk', async () => {
    const probe = await launched('probe')
    const Name = (await networks()).find(({ Id }) => Id === probe.network)?.Name ?? ''
    await gone(probe.ref)
    const ours = { 'molecule.dev/operator': operatorInstance, 'molecule.dev/namespace': 'probe' }
    for (const Labels of [{}, ours]) {
      const IPAM = { Config: [{ Subnet: '10.202.9.0/29' }] }
      const other = await docker.createNetwork({ Name, IPAM, Labels })
      await expect(backend.ensure(agent('probe'), never)).rejects.toMatchObject({
        name: 'Terminal',
        reason: 'NameTaken',
        message: expect.stringContaining(Name),
      })
      await other.remove()
    }
  })

  test('what ran on the network that all shared runs on, says so, and its next launch is apart', async () => {
    const old = `old-${run}`
    const shared = await docker.createNetwork({
      Name: old,
      Labels: { 'molecule.dev/operator': old },
      IPAM: { Config: [{ Subnet: '10.202.10.0/28' }] },
    })
    const upgraded = dialers.open(old)
    const spec = agent('late', upgraded)
    const { uid, namespace, name } = spec.ref
    const Labels = { operator: old, uid, namespace, name, 'spec-hash': 'hash-1' }
    const before = await docker.createContainer({
      name: `ws-${uid}`,
      Image: dialers.image,
      Labels: Object.fromEntries(Object.entries(Labels).map(([key, value]) => [`molecule.dev/${key}`, value])),
      HostConfig: { NetworkMode: shared.id },
    })
    await before.start()
    expect(await upgraded.ensure(spec, never)).toMatchObject({ id: before.id, exposure: 'SharedNetwork' })
    await until('it is gone', async () => (await upgraded.remove(spec.ref, 'keep', never)) === 'gone')
    const seen = await upgraded.ensure(spec, never)
    expect(seen).toMatchObject({ state: 'running' })
    expect(seen).not.toHaveProperty('exposure')
    await gone(spec.ref, upgraded)
    expect(await docker.listNetworks({ filters: { label: [`molecule.dev/operator=${old}`] } })).toEqual([])
  })
})
