/** Spans as a collector receives them. test/controllers/traces.test.ts has those of a whole operator. */
import { afterEach, expect, test } from 'vitest'
import { here, isTracing, openSpan, startTracing, traced } from '../../src/telemetry/trace.ts'
import { startCollector, type CollectedSpan, type Collector } from '../support/collector.ts'
import { until } from '../support/until.ts'

let collector: Collector | undefined
afterEach(() => collector?.close())

/** A stop waits for a moment only: what it sent may still be on its way. */
const sent = (name: string): Promise<CollectedSpan> =>
  until(() => collector?.named(name)[0], { what: `a span "${name}"` })

test('spans nest through awaits, tell their attributes, their results and their failures', async () => {
  collector = await startCollector()
  const stop = await startTracing({ endpoint: collector.url, ratio: 1 })
  const outer = {
    attributes: () => ({ 'molecule.name': 'solo' }),
    ended: (result: string) => ({ 'molecule.outcome': result }),
  }
  const result = await traced('pass', outer, async (span) => {
    await new Promise((resolve) => setImmediate(resolve))
    span.set({ 'molecule.reconcile_id': 'one' })
    await traced('api request', { attributes: () => ({}) }, async () => {
      throw new Error('no answer')
    }).catch(() => undefined)
    return 'settled'
  })
  expect(result).toBe('settled')
  await stop()
  const [pass, request] = [await sent('pass'), await sent('api request')]
  expect(pass.attributes).toEqual({
    'molecule.name': 'solo',
    'molecule.reconcile_id': 'one',
    'molecule.outcome': 'settled',
  })
  expect(request.parentSpanId).toBe(pass.spanId)
  expect(request.traceId).toBe(pass.traceId)
  // Not what it said: a message may quote what an agent or a server chose.
  expect(request.error).toBe('Error')
  expect(pass.service).toBe('molecule-operator')
})

test('what works for many is a root that links to all of them', async () => {
  collector = await startCollector()
  const stop = await startTracing({ endpoint: collector.url, ratio: 1 })
  const links = await Promise.all(
    ['a', 'b'].map((name) => traced('pass', { attributes: () => ({ 'molecule.name': name }) }, async () => here())),
  )
  await traced('sql batch', { attributes: () => ({}), links: () => links.flatMap((link) => link ?? []) }, async () => 1)
  await stop()
  const batch = await sent('sql batch')
  expect(batch.parentSpanId).toBe('')
  expect(new Set(batch.links)).toEqual(new Set(collector.named('pass').map(({ spanId }) => spanId)))
})

test('an open span holds what runs within it', async () => {
  collector = await startCollector()
  const stop = await startTracing({ endpoint: collector.url, ratio: 1 })
  const span = openSpan('platform request', () => ({ 'http.route': '/health' }))
  await new Promise<void>((resolve) => {
    span?.within(() => {
      void traced('sql batch', { attributes: () => ({}) }, async () => 1).then(() => resolve())
    })
  })
  span?.end({ 'http.response.status_code': 200 })
  await stop()
  const [request, batch] = [await sent('platform request'), await sent('sql batch')]
  expect(batch.parentSpanId).toBe(request.spanId)
  expect(request.attributes).toEqual({ 'http.route': '/health', 'http.response.status_code': 200 })
})

test('a ratio of nothing keeps nothing; a collector that is away delays nobody for long', async () => {
  collector = await startCollector()
  const stop = await startTracing({ endpoint: collector.url, ratio: 0 })
  await traced('pass', { attributes: () => ({}) }, async () => 1)
  await stop()
  expect(collector.spans).toEqual([])
  const away = await startTracing({ endpoint: 'http://127.0.0.1:9', ratio: 1 })
  await traced('pass', { attributes: () => ({}) }, async () => 1)
  const began = performance.now()
  await away()
  // Two seconds; left alone, the exporter tries for eight and more.
  expect(performance.now() - began).toBeLessThan(6000)
})

test('off, work runs as it is and no attribute is asked for', async () => {
  expect([isTracing(), here(), openSpan('pass', () => ({}))]).toEqual([false, undefined, undefined])
  const attributes = () => {
    throw new Error('asked')
  }
  expect(await traced('pass', { attributes }, async () => 'done')).toBe('done')
})
