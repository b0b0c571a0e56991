/** One call to the API server and what can happen to it: F10, F13 and the fence. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { milliseconds } from '../../src/duration.ts'
import { Fenced } from '../../src/errors.ts'
import { findCredentials } from '../../src/kube/credentials.ts'
import { KubeClient } from '../../src/kube/kube-client.ts'
import { Transport } from '../../src/kube/transport.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { until } from '../support/until.ts'
import { FaultServer, status, things } from './fault-server.ts'

const patch = { spec: { n: 2 } }
const caught = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no error',
    (error: unknown) => error,
  )

test('a write is not sent again after a 500, whose effect is unknown', async () => {
  await using server = await new FaultServer().start()
  server.fault = (_seen, response) => status(response, 500, 'InternalError')
  const client = new KubeClient({ transport: server.transport(), fieldManager: 'test' })
  expect(await caught(client.mergePatch(things, 'here/a', patch))).toMatchObject({ code: 500, isTransient: true })
  expect(server.seen).toHaveLength(1)
})

test('a write is sent again after a 429, which no handler saw', async () => {
  await using server = await new FaultServer().start()
  let refused = 0
  server.fault = (_seen, response) =>
    refused++ === 0 && status(response, 429, 'TooManyRequests', { 'retry-after': '0' })
  const client = new KubeClient({ transport: server.transport(), fieldManager: 'test' })
  await client.mergePatch(things, 'here/a', patch)
  expect(server.seen).toHaveLength(2)
})

test('a server that says nothing is given up at the deadline, and the next call goes through', async () => {
  await using server = await new FaultServer().start()
  let silent = true
  server.fault = () => silent
  const transport = server.transport({ deadline: milliseconds(300), connections: 1 })
  const client = new KubeClient({ transport, fieldManager: 'test' })
  const began = performance.now()
  expect(await caught(client.mergePatch(things, 'here/a', patch))).toMatchObject({ code: 0, reason: 'Timeout' })
  // Far from the fifteen seconds that a call has when nothing is said.
  expect(performance.now() - began).toBeLessThan(10_000)
  silent = false
  // Its deadline is short for everybody: a busy machine may need some tries.
  await until(() => client.mergePatch(things, 'here/a', patch), { what: 'a connection for the next call' })
})

test('a call aborted in flight ends at once, with the reason of the signal', async () => {
  await using server = await new FaultServer().start()
  server.fault = () => true
  const client = new KubeClient({ transport: server.transport(), fieldManager: 'test' })
  const stop = new AbortController()
  const call = caught(client.mergePatch(things, 'here/a', patch, stop.signal))
  await until(() => server.seen.length === 1)
  const reason = new Error('enough')
  stop.abort(reason)
  expect(await call).toBe(reason)
})

test('a call aborted while the credentials were read is never sent', async () => {
  await using server = await new FaultServer().start()
  const { promise: read, resolve: end } = Promise.withResolvers<object>()
  const credentials = { server: server.url, namespace: 'default', load: () => read }
  const client = new KubeClient({ transport: server.transport({ credentials }), fieldManager: 'test' })
  const stop = new AbortController()
  const call = caught(client.mergePatch(things, 'here/a', patch, stop.signal))
  const reason = new Error('enough')
  stop.abort(reason)
  end({})
  expect(await call).toBe(reason)
  await client.mergePatch(things, 'here/b', patch)
  expect(server.seen.map(({ url }) => url.pathname.split('/').at(-1))).toEqual(['b'])
})

test('fenced while it waited for a connection: never sent', async () => {
  await using server = await new FaultServer().start()
  const held: (() => void)[] = []
  server.fault = (_seen, response) => held.push(() => status(response, 200, 'slow')) > 0
  let leads = true
  const fence = {
    epoch: 1n,
    check() {
      if (!leads) throw new Fenced('no longer')
    },
  }
  const client = new KubeClient({ transport: server.transport({ connections: 1 }), fieldManager: 'test', fence })
  const first = caught(client.mergePatch(things, 'here/a', patch))
  const second = caught(client.mergePatch(things, 'here/b', patch))
  await until(() => held.length === 1)
  leads = false
  held[0]?.()
  await first
  expect(await second).toBeInstanceOf(Fenced)
  expect(server.seen).toHaveLength(1)
})

test('a token that was rotated is read again after a 401, once', async () => {
  await using server = await new FaultServer().start()
  const folder = await mkdtemp(join(tmpdir(), 'molecule-kube-'))
  const token = join(folder, 'token')
  const kubeconfig = join(folder, 'config')
  await writeFile(token, 'old\n')
  await writeFile(
    kubeconfig,
    [
      'current-context: c',
      `clusters: [{ name: k, cluster: { server: "${server.url}" } }]`,
      'users: [{ name: u, user: { tokenFile: token } }]',
      'contexts: [{ name: c, context: { cluster: k, user: u, namespace: mine } }]',
    ].join('\n'),
  )
  let valid = 'Bearer old'
  server.fault = ({ authorization }, response) => authorization !== valid && status(response, 401, 'Unauthorized')
  const credentials = await findCredentials({ kubeconfig })
  expect(credentials.namespace).toBe('mine')
  const transport = new Transport({ credentials, metrics: createMetrics(), log: createLogger('silent') })
  const client = new KubeClient({ transport, fieldManager: 'test' })
  await client.mergePatch(things, 'here/a', patch)
  valid = 'Bearer new'
  await writeFile(token, 'new\n')
  await client.mergePatch(things, 'here/a', patch)
  expect(server.seen.map(({ authorization }) => authorization)).toEqual(['Bearer old', 'Bearer old', 'Bearer new'])
  valid = 'Bearer lost'
  expect(await caught(client.mergePatch(things, 'here/a', patch))).toMatchObject({ isUnauthorized: true })
  expect(server.seen).toHaveLength(5)
  await rm(folder, { recursive: true })
})

test('what a kubeconfig lacks is said without what it holds', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'molecule-kube-'))
  const kubeconfig = join(folder, 'config')
  await writeFile(kubeconfig, 'users: [{ name: u, user: { token: "s3cret }')
  expect(String(await caught(findCredentials({ kubeconfig })))).toBe(`Error: kubeconfig ${kubeconfig} is not YAML`)
  await writeFile(kubeconfig, 'current-context: here')
  expect(String(await caught(findCredentials({ kubeconfig })))).toContain('has no context "here"')
  expect(String(await caught(findCredentials({ kubeconfig: join(folder, 'no') })))).toContain('cannot be read')
  await rm(folder, { recursive: true })
})
