/** What is followed of a namespace: names alone, and the content of what is referred to. */
import { expect, test, type TestContext } from 'vitest'
import { milliseconds } from '../../src/duration.ts'
import { Allowance, type AllowanceLimits } from '../../src/kube/allowance.ts'
import { Followed, type FollowOptions } from '../../src/kube/followed.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { FaultServer, status, thing, things, type Thing } from './fault-server.ts'
import { until } from '../support/until.ts'

const log = createLogger('silent')
const roomy: AllowanceLimits = { perNamespace: 1e9, total: 1e9, always: 0 }

async function begin(
  { onTestFinished }: TestContext,
  given: Partial<FollowOptions<Thing>> & { limits?: AllowanceLimits } = {},
) {
  const server = await new FaultServer().start()
  const transport = server.transport()
  const referred = new Set<string>()
  const { limits = roomy, ...options } = given
  const allowance = new Allowance(limits)
  const followed = new Followed<Thing>(
    {
      type: things,
      allowance,
      referred: (key) => referred.has(key),
      concerned: () => referred.size > 0,
      settle: milliseconds(1),
      ...options,
    },
    { transport, log, metrics: createMetrics() },
  )
  const touched: string[] = []
  followed.onChange(({ key }) => touched.push(key))
  const stop = new AbortController()
  followed.start(stop.signal)
  onTestFinished(async () => {
    stop.abort()
    await transport.close()
    await server.stop()
  })
  const look = (name: string) => followed.look('here', name)
  const nOf = (name: string) => {
    const seen = look(name)
    return seen.state === 'found' ? seen.object.spec.n : seen.state
  }
  const refer = (...names: string[]) => {
    referred.clear()
    for (const name of names) referred.add(`here/${name}`)
  }
  const reads = () => server.seen.filter(({ url }) => /\/things\/./.test(url.pathname)).map(({ url }) => url.pathname)
  return { server, followed, allowance, touched, look, nOf, refer, reads }
}

test.concurrent('only what is looked at is read, once for each version', async (context) => {
  const { server, nOf, refer, reads, touched } = await begin(context)
  for (const name of ['a', 'b', 'c']) server.put(name)
  refer('a')
  await until(() => nOf('a') === 1)
  expect(nOf('a')).toBe(1)
  expect(reads()).toHaveLength(1)
  await until(() => server.openWatches === 1)
  expect(
    [...server.lists.slice(0, 1), ...server.watches].every(({ accept }) => accept.includes('as=PartialObject')),
  ).toBe(true)
  server.put('b', 2)
  server.put('a', 3)
  await until(() => nOf('a') === 3)
  expect(reads().filter((path) => path.endsWith('/b'))).toEqual([])
  expect(touched).toContain('here/b')
  expect(nOf('z')).toBe('missing')
  expect(reads()).toHaveLength(2)
})

test.concurrent(
  'looks at what is being read ask for nothing more, and four objects are read at once',
  async (context) => {
    const { server, nOf, refer, reads } = await begin(context)
    const all = Array.from({ length: 12 }, (_, i) => `t${i}`)
    for (const name of all) server.put(name)
    refer(...all)
    let held: (() => void)[] | undefined = []
    server.fault = ({ url }, response) => {
      if (!/\/things\/./.test(url.pathname) || held === undefined) return false
      const body = JSON.stringify(thing(url.pathname.split('/').at(-1) ?? '', 'uid', '2000', 5))
      held.push(() => response.end(body))
      return true
    }
    await until(() => all.map(nOf).every((state) => state === 'syncing') && held?.length === 4)
    for (let i = 0; i < 10; i++) all.map(nOf)
    expect(reads()).toHaveLength(4)
    const answers = held
    held = undefined
    for (const answer of answers) answer()
    await until(() => all.map(nOf).every((n) => typeof n === 'number'))
    expect(reads()).toHaveLength(12)
  },
)

test.concurrent('a namespace without objects is read, too', async (context) => {
  const { server, nOf } = await begin(context)
  await until(() => nOf('a') === 'missing')
  server.put('a')
  await until(() => nOf('a') === 1)
})

test.concurrent('what was deleted is missing, and what was made again is read again', async (context) => {
  const { server, nOf, refer } = await begin(context)
  server.put('a', 1, 'first')
  refer('a')
  await until(() => nOf('a') === 1)
  await until(() => server.openWatches === 1)
  server.delete('a')
  await until(() => nOf('a') === 'missing')
  server.put('a', 2, 'second')
  await until(() => nOf('a') === 2)
})

test.concurrent('a store put back from a backup is followed, and what is held is read again', async (context) => {
  const { server, nOf, refer, touched } = await begin(context)
  for (const name of ['a', 'b']) server.put(name)
  refer('a', 'b', 'c')
  await until(() => nOf('a') === 1 && nOf('b') === 1)
  await until(() => server.openWatches === 1)
  const putBack = server.backup()
  server.put('a', 2)
  server.delete('b')
  server.put('c', 2)
  await until(() => nOf('a') === 2 && nOf('b') === 'missing' && nOf('c') === 2)
  touched.length = 0
  const found: unknown[] = []
  putBack()
  await until(() => {
    found.push(nOf('a'))
    return nOf('a') === 1 && nOf('b') === 1 && nOf('c') === 'missing'
  })
  // It is never taken for missing: until it has been read again, what it was before is found.
  expect(new Set(found)).toEqual(new Set([2, 1]))
  expect(new Set(touched)).toEqual(new Set(['here/a', 'here/b', 'here/c']))
})

/** Holds back the next answer to a read of `a`, as it is now; gives what sends it. */
function holdRead(server: FaultServer): () => void {
  const held: (() => void)[] = []
  server.fault = ({ url }, response) => {
    if (held.length > 0 || !url.pathname.endsWith('/a')) return false
    const body = JSON.stringify(thing('a', 'uid-a', server.version, 1))
    held.push(() => response.end(body))
    return true
  }
  return () => held[0]?.()
}

test.concurrent('deleted while it was read for the first time: nothing of it is held', async (context) => {
  const { server, followed, allowance, nOf, refer, reads } = await begin(context)
  server.put('a')
  server.put('b', 2)
  refer('a', 'b')
  await until(() => nOf('b') === 2)
  await until(() => server.openWatches === 1)
  const [size, bytes] = [followed.size, allowance.total]
  await until(() => nOf('a') === 1)
  expect(allowance.total).toBeGreaterThan(bytes)
  server.delete('a')
  await until(() => nOf('a') === 'missing')
  const answer = holdRead(server)
  server.put('a')
  await until(() => nOf('a') === 'syncing' && reads().filter((path) => path.endsWith('/a')).length === 2)
  server.delete('a')
  await until(() => nOf('a') === 'missing')
  answer()
  // Another read of the same namespace, begun after that answer was sent.
  server.put('b', 3)
  await until(() => nOf('b') === 3)
  expect({ size: followed.size, bytes: allowance.total }).toEqual({ size, bytes })
})

test.concurrent('changed while it was read for the first time: it is read again', async (context) => {
  const { server, nOf, refer, reads } = await begin(context)
  server.put('a')
  const answer = holdRead(server)
  refer('a')
  await until(() => nOf('a') === 'syncing' && reads().length === 1)
  await until(() => server.openWatches === 1)
  server.put('a', 2)
  server.put('b')
  await until(() => nOf('b') !== 'missing')
  answer()
  await until(() => nOf('a') === 2)
})

test.concurrent('while a new version is read, the one before is found', async (context) => {
  const { server, nOf, refer, touched } = await begin(context)
  server.put('a', 1)
  refer('a')
  await until(() => nOf('a') === 1)
  await until(() => server.openWatches === 1)
  let refused = 0
  server.fault = ({ url }, response) =>
    url.pathname.endsWith('/a') && refused++ < 2 && status(response, 500, 'InternalError')
  const before = touched.length
  server.put('a', 2)
  await until(() => refused > 0)
  expect(nOf('a')).toBe(1)
  expect(touched.length).toBe(before)
  await until(() => nOf('a') === 2)
  expect(touched.length).toBe(before + 1)
})

test.concurrent('an object that may not be read is forbidden, until it may', async (context) => {
  const { server, nOf, refer } = await begin(context)
  server.put('a', 1)
  refer('a')
  let opened = false
  server.fault = ({ url }, response) => url.pathname.endsWith('/a') && !opened && status(response, 403, 'Forbidden')
  await until(() => nOf('a') === 'forbidden')
  opened = true
  await until(() => nOf('a') === 1, { within: 20_000 })
})

test.concurrent(
  'what nothing refers to any more is dropped, and with the last reference the watch',
  async (context) => {
    const { server, followed, allowance, nOf, refer } = await begin(context)
    server.put('a')
    server.put('b')
    refer('a', 'b')
    await until(() => nOf('a') === 1 && nOf('b') === 1)
    await until(() => server.openWatches === 1)
    const both = allowance.total
    refer('b')
    followed.release('here')
    await until(() => followed.size === 1)
    expect(allowance.total).toBeLessThan(both)
    expect(server.openWatches).toBe(1)
    refer()
    followed.release('here')
    await until(() => server.openWatches === 0)
    expect({ namespaces: followed.namespaces, bytes: allowance.total }).toEqual({ namespaces: [], bytes: 0 })
    refer('a')
    await until(() => nOf('a') === 1)
  },
)

test.concurrent('what does not fit is refused with the limit, and read once there is room', async (context) => {
  const limits = { perNamespace: 3 * 1024 * 1024, total: 1e9, always: 0 }
  const { server, followed, allowance, look, nOf, refer } = await begin(context, { limits })
  server.padding = 1024 * 1024
  for (const name of ['a', 'b', 'c', 'd']) server.put(name)
  refer('a', 'b', 'c', 'd')
  const states = () => ['a', 'b', 'c', 'd'].map((name) => look(name).state).toSorted()
  await until(() => states().join() === 'exceeded,exceeded,found,found')
  expect(followed.refused).toBe(2)
  expect(allowance.used('here')).toBeLessThan(limits.perNamespace)
  const out = ['a', 'b', 'c', 'd'].find((name) => look(name).state === 'exceeded') ?? ''
  expect(look(out)).toEqual({ state: 'exceeded', limit: '3 MiB for a namespace' })
  const held = ['a', 'b', 'c', 'd'].find((name) => look(name).state === 'found')
  refer(...['a', 'b', 'c', 'd'].filter((name) => name !== held))
  followed.release('here')
  await until(() => followed.refused === 1 && followed.size === 2)
  await until(() => server.openWatches === 1)
  server.padding = 0
  for (const name of ['a', 'b', 'c', 'd']) server.put(name, 7)
  await until(() => ['a', 'b', 'c', 'd'].filter((name) => name !== held).every((name) => nOf(name) === 7))
})

test.concurrent('a namespace of too many objects is not followed, until there are fewer', async (context) => {
  const { server, followed, look, nOf, refer } = await begin(context, { mostNames: 10 })
  for (let i = 0; i < 8; i++) server.put(`t${i}`)
  refer('t0')
  await until(() => nOf('t0') === 1)
  await until(() => server.openWatches === 1)
  for (let i = 8; i < 12; i++) server.put(`t${i}`)
  await until(() => followed.stateOf('here') === 'crowded')
  expect(look('t0')).toEqual({ state: 'exceeded', limit: '10 Things in a namespace' })
  expect(followed.size).toBe(0)
})

test.concurrent(
  'a namespace that has too many from the start is counted once a minute, and never held',
  async (context) => {
    const { server, followed } = await begin(context, { mostNames: 10 })
    const states: string[] = []
    followed.onState((_namespace, state) => states.push(state))
    for (let i = 0; i < 12; i++) server.put(`t${i}`)
    await until(() => followed.stateOf('here') === 'crowded')
    expect(states).toEqual(['crowded'])
    expect(server.lists).toHaveLength(1)
  },
)

test.concurrent('what cannot be read is tried again after a pause, however often it is looked at', async (context) => {
  const { server, look, refer, reads } = await begin(context)
  server.put('a')
  refer('a')
  server.fault = ({ url }, response) => {
    if (!url.pathname.endsWith('/a')) return false
    response.writeHead(400).end('{}')
    return true
  }
  await until(() => look('a').state === 'syncing' && reads().length >= 3)
  const [first = 0, , third = 0] = server.seen.filter(({ url }) => url.pathname.endsWith('/a')).map(({ at }) => at)
  expect(third - first).toBeGreaterThan(1900)
})
