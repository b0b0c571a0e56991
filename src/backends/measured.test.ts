import { once } from 'node:events'
import { request } from 'node:http'
import { unguarded, type Backend } from './backend.ts'
import { expect, test } from 'vitest'
import { seconds } from '../duration.ts'
import { RetryAfter, Terminal } from '../errors.ts'
import { Dependency } from '../telemetry/dependency.ts'
import { createLogger } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { FakeBackend } from './fake/backend.ts'
import { backendTroubles, measured } from './measured.ts'

const never = new AbortController().signal
const ref = { uid: 'a', namespace: 'acme', name: 'solo' }
const limits = { memoryBytes: 1, cpus: 1, pids: 1, readOnlyRoot: false, hostAccess: [] }
const spec = { ref, specHash: 'h', image: 'i', runtime: 'r', env: {}, files: [], token: 't', limits }

function given(more: Partial<Backend> = {}) {
  const [fake, metrics] = [new FakeBackend({ slowRemoval: true }), createMetrics()]
  const causes = backendTroubles
  const lines: string[] = []
  const log = createLogger('info', { write: (line) => void lines.push(line) })
  const dependency = new Dependency({ name: 'fake', causes, log, metrics })
  return {
    fake,
    lines,
    metrics,
    dependency,
    backend: measured(Object.assign(fake, more), { metrics, dependency, log }),
  }
}

test('every call is counted by how it ended, and ends as it did', async () => {
  const { fake, metrics, backend } = given()
  const counted = async () =>
    (await metrics.backendSeconds.get()).values
      .filter(({ metricName }) => metricName?.endsWith('_count'))
      .map(({ labels, value }) => `${String(labels.verb)} ${String(labels.result)} ${String(value)}`)
      .sort((a, b) => (a < b ? -1 : 1))
  await backend.observe(ref, never)
  fake.fail('observe', new Error('away'))
  expect(await backend.observe(ref, never)).toMatchObject({ state: 'unknown' })
  for (const error of [new RetryAfter(seconds(1), 'busy'), new Terminal('NameTaken', 'taken'), new Error('broken')]) {
    fake.fail('ensure', error)
    await expect(backend.ensure(spec, never, unguarded)).rejects.toBe(error)
  }
  expect(await backend.ensure(spec, never, unguarded)).toMatchObject({ state: 'running' })
  expect(await backend.remove(ref, 'keep', never, unguarded)).toBe('requested')
  expect(await backend.remove(ref, 'keep', never, unguarded)).toBe('gone')
  expect(await counted()).toEqual([
    'ensure error 1',
    'ensure ok 1',
    'ensure refused 1',
    'ensure waits 1',
    'observe ok 1',
    'observe unknown 1',
    'remove ok 1',
    'remove waits 1',
  ])
})

test('a backend that a look or a list cannot reach does not serve, until one can; what one spec is refused for says nothing', async () => {
  const { fake, backend, dependency } = given()
  const list = () => Array.fromAsync(backend.owned(never))
  fake.fail('ensure', new Error('broken'))
  await expect(backend.ensure(spec, never, unguarded)).rejects.toThrow('broken')
  expect(dependency.trouble).toBeUndefined()
  fake.fail('observe', new Error('away'))
  await backend.observe(ref, never)
  expect(dependency.trouble).toBe('it does not answer')
  await backend.observe(ref, never)
  expect(dependency.trouble).toBeUndefined()
  fake.fail('owned', new Error('away'))
  await expect(list()).rejects.toThrow(/^its looks or lists fail$/)
  expect(dependency.trouble).toBe('it does not answer')
  await list()
  expect(dependency.trouble).toBeUndefined()
})

test.each([
  ['aborted due to timeout', new Error('look', { cause: await givenUp() })],
  ['timed out', new Error('timed out')],
  [
    'ECONNREFUSED',
    new Error('look', { cause: Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }) }),
  ],
  ['its looks or lists fail', new Error('what it says may quote a secret')],
])('the log says "%s" of a look that failed so', async (kind, error) => {
  const { fake, backend, lines } = given()
  fake.fail('observe', error)
  await backend.observe(ref, never)
  expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
    expect.objectContaining({ msg: 'dependency failed', reason: 'unreachable', cause: kind }),
  ])
})

/** What a request meets whose deadline is over. */
async function givenUp(): Promise<unknown> {
  const signal = AbortSignal.timeout(0)
  await once(signal, 'abort')
  return await new Promise((resolve) => request('http://127.0.0.1:1', { signal }).on('error', resolve))
}

test('of what a list or a look at the disk fails by, only the kind is told to what asks for it', async () => {
  const refused = new Error('(HTTP code 500) server error - no TOKEN=secret')
  const { fake, lines, backend } = given({ disk: async () => Promise.reject(refused) })
  fake.fail('owned', refused)
  await expect(Array.fromAsync(backend.owned(never))).rejects.toThrow(/^HTTP code 500$/)
  await expect(backend.disk(never)).rejects.toThrow(/^HTTP code 500$/)
  expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
    expect.objectContaining({ msg: 'dependency failed', reason: 'unreachable', cause: 'HTTP code 500' }),
  ])
})

test('a stream that does not tell is counted each time and told once; the backend serves', async () => {
  const { lines, metrics, dependency, backend } = given({
    async *changes(_signal, onUntold) {
      onUntold?.(false)
      onUntold?.(true)
      yield ref
    },
  })
  expect(await Array.fromAsync(backend.changes(never))).toEqual([ref])
  const { values } = await metrics.dependencyErrors.get()
  expect(values).toContainEqual({ labels: { dependency: 'fake', cause: 'silent' }, value: 2 })
  expect(dependency.trouble).toBeUndefined()
  expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
    expect.objectContaining({
      level: 'warn',
      dependency: 'fake',
      msg: 'stream of events tells nothing and is opened anew',
    }),
  ])
})
