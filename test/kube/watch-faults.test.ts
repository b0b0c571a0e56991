/** F7–F10 of the fault list: what a watch meets, against a server that misbehaves on command. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ServerResponse } from 'node:http'
import { expect, test, type TestContext } from 'vitest'
import { milliseconds, type Duration } from '../../src/duration.ts'
import type { Change } from '../../src/kube/client.ts'
import { Informer } from '../../src/kube/informer.ts'
import { collectionPath } from '../../src/kube/raw.ts'
import { watch } from '../../src/kube/watch.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { FaultServer, status, thing, things, type Thing } from './fault-server.ts'
import { until } from '../support/until.ts'

const log = createLogger('silent')

/** When each request left, by the client's own clock: the server may read it later, or after who sent it has ended. */
function departures({ onTestFinished }: TestContext, server: FaultServer): { at: number; isWatch: boolean }[] {
  const left: { at: number; isWatch: boolean }[] = []
  const note = (message: unknown) => {
    const { request } = message as { request: { origin: unknown; path: string } }
    if (String(request.origin) === server.url)
      left.push({ at: performance.now(), isWatch: request.path.includes('watch=true') })
  }
  subscribe('undici:request:create', note)
  onTestFinished(() => void unsubscribe('undici:request:create', note))
  return left
}

async function begin(context: TestContext, prepare: (server: FaultServer) => void = () => undefined, idle?: Duration) {
  const { onTestFinished } = context
  const server = await new FaultServer().start()
  prepare(server)
  const left = departures(context, server)
  const transport = server.transport()
  const informer = new Informer<Thing>(
    { type: things, ...(idle !== undefined && { idle }) },
    { transport, log, metrics: createMetrics() },
  )
  const changes: Change<Thing>[] = []
  informer.onChange((change) => changes.push(change))
  const stop = new AbortController()
  const began = performance.now()
  const running = informer.start(stop.signal)
  onTestFinished(async () => {
    stop.abort()
    await running
    await transport.close()
    await server.stop()
  })
  return { server, informer, changes, stop, running, began, left, cache: informer.cache }
}

/** Milliseconds. What only a person can mend is tried again after 7.5 s at the earliest; this is for everything else. */
const soon = 7000

const names = (cache: { values(): Iterable<Thing> }) => [...cache.values()].map(({ metadata }) => metadata.name).sort()
const isWatching = (server: FaultServer, nth = 1) =>
  until(() => server.watches.length >= nth && server.openWatches === 1)

test.concurrent('a destroyed socket: watched again soon, from the last version, without a list', async (context) => {
  const { server, cache } = await begin(context, (server) => server.put('a'))
  await isWatching(server)
  server.put('b')
  await until(() => cache.size === 2)
  const broken = performance.now()
  server.endWatches('destroy')
  server.put('c')
  await until(() => cache.size === 3)
  expect(performance.now() - broken).toBeLessThan(soon)
  expect(server.lists).toHaveLength(1)
  expect(server.watches.at(-1)?.url.searchParams.get('resourceVersion')).toBe('1002')
})

test.concurrent('a bookmark moves the version from which the watch is resumed', async (context) => {
  const { server } = await begin(context, (server) => server.put('a'))
  await isWatching(server)
  server.pass(5555 - 1001)
  server.write(`${JSON.stringify({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '5555' } } })}\n`)
  server.endWatches('end')
  await isWatching(server, 2)
  expect(server.watches[0]?.url.searchParams.get('allowWatchBookmarks')).toBe('true')
  expect(server.watches.at(-1)?.url.searchParams.get('resourceVersion')).toBe('5555')
})

test.concurrent('closed at once, again and again: at most two watches a second', async (context) => {
  const { server, left, began } = await begin(context, (server) => {
    server.fault = ({ url }, response) => {
      if (!url.searchParams.has('watch')) return false
      response.writeHead(200).end()
      return true
    }
  })
  await until(() => server.watches.length >= 4)
  const [, second = 0, third = 0, fourth = 0] = left.filter(({ isWatch }) => isWatch).map(({ at }) => at)
  // The time that the list took counts, and timers may be a millisecond early.
  expect(second - began).toBeGreaterThan(490)
  expect(third - second).toBeGreaterThan(490)
  expect(fourth - third).toBeGreaterThan(990)
  expect(server.lists).toHaveLength(1)
})

test.concurrent('a single close after a while is followed by the next watch at once', async (context) => {
  const { server, cache } = await begin(context, (server) => server.put('a'))
  const took: number[] = []
  // A machine may be busy at one such moment, hardly at each: every wait of ours would last half a second or more.
  while (took.length < 5 && !took.some((each) => each < 450)) {
    await isWatching(server, took.length + 1)
    server.put('a', took.length)
    await until(() => cache.get('here/a')?.spec.n === took.length)
    await new Promise((resolve) => setTimeout(resolve, 600))
    const closed = performance.now()
    server.endWatches('end')
    await until(() => server.watches.length >= took.length + 2, { every: 5 })
    took.push(performance.now() - closed)
  }
  expect(Math.min(...took)).toBeLessThan(450)
})

test.concurrent('a silent connection is given up after the idle limit', async ({ onTestFinished }) => {
  const server = await new FaultServer().start()
  const transport = server.transport()
  const stop = new AbortController()
  const options = {
    transport,
    path: collectionPath(things, undefined),
    convert: () => undefined,
    idle: milliseconds(1500),
  }
  const events = watch(options, stop.signal)
  const reading = (async () => {
    for await (const _event of events);
  })()
  onTestFinished(async () => {
    stop.abort()
    await reading
    await transport.close()
    await server.stop()
  })
  await until(() => server.watches.length >= 2, { within: 20_000 })
  const [first, second] = server.watches
  expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(1400)
  expect(server.lists).toHaveLength(1)
})

const goneLine = `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' } })}\n`

test.concurrent('410 inside a stream: listed again, and what was deleted meanwhile is seen', async (context) => {
  const { server, cache, changes } = await begin(context, (server) =>
    ['a', 'b', 'c'].forEach((name) => server.put(name)),
  )
  await isWatching(server)
  server.quietly(() => {
    server.delete('b')
    server.put('d')
  })
  server.write(goneLine)
  await until(() => names(cache).join() === 'a,c,d')
  expect(changes.filter(({ after }) => after === undefined).map(({ key }) => key)).toEqual(['here/b'])
})

test.concurrent('410 as the answer to a watch: listed again', async (context) => {
  const { server, cache } = await begin(context, (server) => ['a', 'b'].forEach((name) => server.put(name)))
  await isWatching(server)
  server.quietly(() => server.delete('a'))
  let refused = 0
  server.fault = ({ url }, response) =>
    url.searchParams.has('watch') && refused++ === 0 && status(response, 410, 'Expired')
  server.endWatches('destroy')
  await until(() => names(cache).join() === 'b')
  expect(server.lists).toHaveLength(2)
})

test.concurrent('410 in the middle of a paged list: begun anew, nothing doubled, nothing lost', async (context) => {
  let refused = 0
  const { server, cache, changes } = await begin(context, (server) => {
    server.pageSize = 2
    for (let n = 0; n < 5; n++) server.put(`t${n}`)
    server.fault = ({ url }, response) =>
      url.searchParams.get('continue') === '2' && refused++ === 0 && status(response, 410, 'Expired')
  })
  await until(() => cache.hasSynced)
  expect(names(cache)).toEqual(['t0', 't1', 't2', 't3', 't4'])
  expect(changes).toHaveLength(5)
  expect(server.lists).toHaveLength(5)
})

test.concurrent('deleted and made again while nobody looked: a deletion and an addition', async (context) => {
  const { server, changes } = await begin(context, (server) => server.put('a', 1, 'first'))
  await isWatching(server)
  server.quietly(() => {
    server.delete('a')
    server.put('a', 2, 'second')
  })
  server.write(goneLine)
  await until(() => changes.length === 3)
  expect(changes.map(({ before, after }) => [before?.metadata.uid, after?.metadata.uid])).toEqual([
    [undefined, 'first'],
    ['first', undefined],
    [undefined, 'second'],
  ])
})

test.concurrent(
  'a store put back from a backup is followed: what was lost goes, what was deleted is there',
  async (context) => {
    const { server, informer, cache, changes } = await begin(context, (server) =>
      ['ada', 'ben', 'cid'].forEach((name) => server.put(name)),
    )
    await isWatching(server)
    const putBack = server.backup()
    for (let n = 2; n < 7; n++) server.put('ada', n)
    server.delete('ben')
    server.put('dot')
    await until(() => names(cache).join() === 'ada,cid,dot' && cache.get('here/ada')?.spec.n === 6)
    // An answer to a write of our own, and a list that is still to come, are caught up with, too.
    informer.remember(thing('cid', 'uid-cid', '1009', 9))
    changes.length = 0
    putBack()
    server.put('ada', 7)
    await until(() => names(cache).join() === 'ada,ben,cid' && informer.state === 'synced')
    expect(['ada', 'ben', 'cid'].map((name) => cache.get(`here/${name}`)?.spec.n)).toEqual([7, 1, 1])
    // Each is told as gone and, where it exists, as new: what has the same version may have another content.
    expect(changes.filter(({ after }) => after === undefined).map(({ key }) => key)).toEqual(
      expect.arrayContaining(['here/ada', 'here/cid', 'here/dot']),
    )
    // And it goes on from there.
    server.delete('ben')
    server.put('cid', 8)
    await until(() => names(cache).join() === 'ada,cid' && cache.get('here/cid')?.spec.n === 8)
  },
)

test.concurrent('a store put back under an open but silent stream is found out by the idle limit', async (context) => {
  const { server, cache } = await begin(context, (server) => server.put('ada'), milliseconds(1500))
  await isWatching(server)
  const putBack = server.backup()
  server.put('ada', 2)
  await until(() => cache.get('here/ada')?.spec.n === 2)
  server.quietly(putBack)
  await until(() => cache.get('here/ada')?.spec.n === 1)
})

test.concurrent(
  'a store put back that has grown past what was seen: its list is held against each object',
  async (context) => {
    const { server, cache } = await begin(context, (server) => ['ada', 'ben'].forEach((name) => server.put(name)))
    await isWatching(server)
    const putBack = server.backup()
    server.put('ada', 2)
    server.delete('ben')
    await until(() => names(cache).join() === 'ada' && cache.get('here/ada')?.spec.n === 2)
    server.fault = ({ url }, response) =>
      url.searchParams.has('watch') && server.watches.length === 2 && status(response, 410, 'Expired')
    putBack()
    server.pass(100)
    await until(() => names(cache).join() === 'ada,ben' && cache.get('here/ada')?.spec.n === 1)
  },
)

test.concurrent('versions that are no numbers are never held against a server', async (context) => {
  const { server, cache } = await begin(context, (server) => server.put('a'))
  await isWatching(server)
  server.write(`${JSON.stringify({ type: 'BOOKMARK', object: { metadata: { resourceVersion: 'opaque' } } })}\n`)
  server.endWatches('end')
  await isWatching(server, 2)
  expect(server.watches.at(-1)?.url.searchParams.get('resourceVersion')).toBe('opaque')
  expect(server.lists).toHaveLength(1)
  expect(cache.size).toBe(1)
})

const bodies: Record<string, (response: ServerResponse) => unknown> = {
  'a 500': (response) => status(response, 500, 'InternalError'),
  'cut JSON': (response) => response.end('{"metadata":{"resourceVersion":"1"},"items":[{"meta'),
  'a page of HTML': (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>proxy</html>'),
  'a destroyed socket': (response) => response.socket?.destroy(),
  'JSON that is no list': (response) => response.end('{"kind":"Status"}'),
}
for (const [name, answer] of Object.entries(bodies)) {
  test.concurrent(`a list answered with ${name} is tried again soon`, async (context) => {
    let broken = 2
    const { informer, began } = await begin(context, (server) => {
      server.put('a')
      server.fault = ({ url }, response) => {
        if (url.searchParams.has('watch') || broken-- <= 0) return false
        answer(response)
        return true
      }
    })
    await informer.synced
    expect(performance.now() - began).toBeLessThan(soon)
    expect(informer.cache.size).toBe(1)
  })
}

test.concurrent('429 with Retry-After is kept to', async (context) => {
  let refused = 0
  const { server, informer } = await begin(context, (server) => {
    server.fault = (_seen, response) =>
      refused++ === 0 && status(response, 429, 'TooManyRequests', { 'retry-after': '1' })
  })
  await informer.synced
  const [first, second] = server.lists
  expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(990)
})

test.concurrent('429 with a Retry-After of nothing is no reason to ask without a pause', async (context) => {
  let refused = 0
  const { server, informer } = await begin(context, (server) => {
    server.put('a')
    server.fault = ({ url }, response) =>
      url.searchParams.has('watch') && refused++ < 4 && status(response, 429, 'TooManyRequests', { 'retry-after': '0' })
  })
  await until(() => server.openWatches === 1)
  const [first, last] = [server.watches.at(0), server.watches.at(-1)]
  expect(server.watches).toHaveLength(5)
  expect((last?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(1900)
  expect(informer.cache.size).toBe(1)
})

test.concurrent('a forbidden list is said, and heals by itself after the binding', async (context) => {
  let allowed = false
  const { informer } = await begin(context, (server) => {
    server.fault = (_seen, response) => !allowed && status(response, 403, 'Forbidden')
  })
  await until(() => informer.state === 'forbidden')
  allowed = true
  // Asked again every ten seconds, give or take a quarter.
  await until(() => informer.state === 'synced', { within: 20_000 })
})

test.concurrent('stopped during a backoff: nothing more is opened', async (context) => {
  const { server, stop, running, left } = await begin(context, (server) => {
    server.fault = (_seen, response) => status(response, 503, 'ServiceUnavailable')
  })
  await until(() => server.seen.length >= 2)
  stop.abort()
  await running
  const before = left.length
  expect(before).toBeGreaterThan(1)
  server.fault = () => false
  await new Promise((resolve) => setTimeout(resolve, 1500))
  expect(left.length).toBe(before)
})

test.concurrent('an object that cannot be read is kept out, and those after it are read', async (context) => {
  const { server, cache } = await begin(context, (server) => server.put('bad', 'not a number'))
  await isWatching(server)
  server.put('good')
  server.put('worse', 'nor this')
  server.put('better')
  await until(() => names(cache).join() === 'better,good')
  server.put('bad', 7)
  await until(() => cache.get('here/bad')?.spec.n === 7)
})

test.concurrent('five thousand events in odd pieces arrive whole', async (context) => {
  const { server, cache } = await begin(context)
  await isWatching(server)
  const lines: string[] = []
  for (let n = 0; n < 5000; n++) {
    const metadata = {
      name: `é${n}`,
      namespace: 'here',
      uid: `u${n}`,
      resourceVersion: String(2000 + n),
      generation: 1,
    }
    lines.push(`${JSON.stringify({ type: 'ADDED', object: { metadata, spec: { n } } })}\n`)
  }
  const whole = Buffer.from(lines.join(''))
  for (let from = 0; from < whole.length; from += 7919) server.write(whole.subarray(from, from + 7919))
  await until(() => cache.size === 5000)
  expect(cache.get('here/é4999')?.spec.n).toBe(4999)
})

test.concurrent('a line that is no event ends that stream only', async (context) => {
  const { server, cache } = await begin(context, (server) => server.put('a'))
  await isWatching(server)
  server.write('<html>\n')
  await isWatching(server, 2)
  server.put('b')
  await until(() => cache.size === 2)
  expect(server.lists).toHaveLength(1)
})
