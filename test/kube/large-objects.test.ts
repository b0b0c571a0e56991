/** Collections of objects of a megabyte each: what a tenant can make of its own kinds, ConfigMaps and Secrets. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test, type TestContext } from 'vitest'
import { Allowance } from '../../src/kube/allowance.ts'
import { Informer } from '../../src/kube/informer.ts'
import { limitOf } from '../../src/kube/reduced.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { FaultServer, thing, things, type Thing } from './fault-server.ts'
import { until } from '../support/until.ts'

async function begin({ onTestFinished }: TestContext, prepare: (server: FaultServer) => void, allowance?: Allowance) {
  const server = await new FaultServer().start()
  prepare(server)
  const transport = server.transport()
  const informer = new Informer<Thing>(
    { type: things, ...(allowance && { allowance }) },
    { transport, log: createLogger('silent'), metrics: createMetrics() },
  )
  const stop = new AbortController()
  const running = informer.start(stop.signal)
  onTestFinished(async () => {
    stop.abort()
    await running
    await transport.close()
    await server.stop()
  })
  const outlines = () => [...informer.cache.values()].filter((each) => limitOf(each) !== undefined)
  return { server, informer, cache: informer.cache, outlines }
}

test.concurrent(
  'a page that is too long is asked for in smaller pages, and the list goes on where it was',
  async (context) => {
    const { server, cache } = await begin(context, (server) => {
      server.padding = 1e6
      for (let i = 0; i < 30; i++) server.put(`t${i}`)
    })
    await until(() => cache.hasSynced)
    expect(cache.size).toBe(30)
    const asked = server.lists.map(({ url }) => Number(url.searchParams.get('limit')))
    expect(asked).toEqual([500, 62, 7, 7, 7, 7, 7])
  },
)

test.concurrent('a single object that is too long is told as trouble, and nothing of it is kept', async (context) => {
  const { server, informer } = await begin(context, (server) => {
    server.padding = 13 * 1024 * 1024
    server.put('a')
  })
  await until(() => server.lists.some(({ url }) => url.searchParams.get('limit') === '1'), { within: 20_000 })
  expect(informer.cache.hasSynced).toBe(false)
  server.padding = 0
  await until(() => informer.cache.size === 1, { within: 20_000 })
})

test.concurrent(
  'of objects beyond the share of their namespace the outline is kept, and the whole once there is room',
  async (context) => {
    const allowance = new Allowance({ perNamespace: 2.5e6, total: 1e9, always: 0 })
    const { server, cache, outlines } = await begin(
      context,
      (server) => {
        server.padding = 1e6
        for (const name of ['a', 'b', 'c', 'd']) server.put(name, 5)
      },
      allowance,
    )
    await until(() => cache.hasSynced)
    expect(outlines()).toHaveLength(2)
    expect(allowance.used('here')).toBeLessThan(2.5e6)
    for (const outline of outlines()) {
      expect(outline).toMatchObject({
        kind: 'Thing',
        metadata: { namespace: 'here', generation: 1 },
        spec: { n: 5, pad: '' },
      })
      expect(limitOf(outline)).toBe('2 MiB for a namespace')
    }
    await until(() => server.openWatches === 1)
    // Outlines are taken back with the store like all else, and are still known for what they are.
    const putBack = server.backup()
    server.put('a', 7)
    await until(() => cache.get('here/a')?.spec.n === 7)
    putBack()
    await until(() => cache.get('here/a')?.spec.n === 5)
    expect(outlines()).toHaveLength(2)
    expect(allowance.used('here')).toBeGreaterThan(2e6)
    expect(allowance.used('here')).toBeLessThan(2.5e6)
    await until(() => server.openWatches === 1)
    const wholes = () =>
      [...cache.values()].flatMap((each) => (limitOf(each) === undefined ? [each.metadata.name] : []))
    for (const left of [1, 0]) {
      server.delete(wholes()[0] ?? '')
      await until(() => outlines().length === left)
      expect(cache.size).toBe(2 + left)
    }
    server.padding = 0
    for (const { metadata } of cache.values()) server.put(metadata.name, 6)
    await until(() => outlines().length === 0)
    await until(() => [...cache.values()].every(({ spec }) => spec.n === 6))
    for (const name of ['a', 'b', 'c', 'd']) server.delete(name)
    await until(() => cache.size === 0)
    expect(allowance.total).toBe(0)
  },
)

/** One kept in outline, which is being read whole: its answer, as it is now, is held back until `answer`. */
async function readingWhole(context: TestContext) {
  const allowance = new Allowance({ perNamespace: 2.5e6, total: 1e9, always: 0 })
  const all = await begin(
    context,
    (server) => {
      server.padding = 1e6
      for (const name of ['a', 'b', 'c']) server.put(name, 5)
    },
    allowance,
  )
  const { server, cache, outlines } = all
  await until(() => cache.hasSynced)
  await until(() => server.openWatches === 1)
  const name = outlines()[0]?.metadata.name ?? ''
  const held: (() => void)[] = []
  server.fault = ({ url }, response) => {
    if (held.length > 0 || !url.pathname.endsWith(`/${name}`)) return false
    const whole = cache.get(`here/${name}`)
    const body = JSON.stringify({ ...whole, spec: { n: 5, pad: 'x'.repeat(1e6) } })
    held.push(() => response.end(body))
    return true
  }
  const gone = ['a', 'b', 'c'].find((each) => each !== name) ?? ''
  server.delete(gone)
  await until(() => held.length === 1)
  return { ...all, allowance, name, gone, answer: () => held[0]?.() }
}

test.concurrent('an object that was deleted while it was read whole is not counted', async (context) => {
  const { server, cache, allowance, name, answer } = await readingWhole(context)
  server.delete(name)
  await until(() => cache.size === 1)
  answer()
  for (const { metadata } of cache.values()) server.delete(metadata.name)
  await until(() => cache.size === 0)
  server.padding = 0
  server.put('last')
  await until(() => cache.size === 1)
  server.delete('last')
  await until(() => cache.size === 0)
  expect(allowance.total).toBe(0)
})

test.concurrent('an object that changed while it was read whole is read again', async (context) => {
  const { server, cache, outlines, name, answer } = await readingWhole(context)
  const tell = (type: string, each: string, n: number) => {
    server.quietly(() => server.put(each, n))
    const { spec, ...rest } = thing(each, `uid-${each}`, server.version, n)
    server.write(`${JSON.stringify({ type, object: { ...rest, spec: { ...spec, pad: 'x'.repeat(1e6) } } })}\n`)
  }
  // It does not fit when it comes: another has taken the room.
  tell('ADDED', 'other', 5)
  await until(() => cache.get('here/other') !== undefined)
  tell('MODIFIED', name, 6)
  await until(() => cache.get(`here/${name}`)?.spec.n === 6)
  expect(outlines().map(({ metadata }) => metadata.name)).toEqual([name])
  server.delete('other')
  answer()
  await until(() => outlines().length === 0)
  expect(cache.get(`here/${name}`)?.spec.n).toBe(6)
})

/** Runs follow-process.ts with a small heap; gives what it printed. */
async function ownProcess(server: FaultServer, what: string, heap: number): Promise<{ n: number; grown: number }> {
  const file = join(import.meta.dirname, 'follow-process.ts')
  const child = spawn(process.execPath, [`--max-old-space-size=${heap}`, file, server.url, what], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [printed, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  expect(code).toBe(0)
  return JSON.parse(printed) as { n: number; grown: number }
}

test('400 objects of a megabyte beside the one referred to cost no memory, at the start and at a restart', async ({
  onTestFinished,
}) => {
  const server = await new FaultServer().start()
  onTestFinished(() => server.stop())
  server.padding = 1e6
  for (let i = 0; i < 400; i++) server.put(`t${i}`)
  server.put('wanted', 42)
  for (const round of ['start', 'restart']) {
    const { n, grown } = await ownProcess(server, 'followed', 64)
    expect({ round, n }).toEqual({ round, n: 42 })
    expect(grown).toBeLessThan(40 * 1024 * 1024)
  }
  expect(server.sent).toBeLessThan(1e6)
})

test('400 Workspaces of 1.4 MB in one namespace cost their share of memory and no more', async ({ onTestFinished }) => {
  const server = await new FaultServer().start()
  onTestFinished(() => server.stop())
  server.padding = 1.4e6
  for (let i = 0; i < 400; i++) server.put(`t${i}`)
  const { n, grown } = await ownProcess(server, 'informer', 128)
  expect(n).toBe(400)
  expect(grown).toBeLessThan(140 * 1024 * 1024)
})
