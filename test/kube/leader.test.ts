/** A lease and its epoch, against a server that gives the lease to another on command. */
import { expect, onTestFinished, test } from 'vitest'
import { milliseconds, seconds } from '../../src/duration.ts'
import { Fenced } from '../../src/errors.ts'
import { Leader } from '../../src/kube/leader.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { until } from '../support/until.ts'
import { FaultServer } from './fault-server.ts'

test('no epoch is begun once the lease was lost while the database was away', async () => {
  const server = await new FaultServer().start()
  const transport = server.transport()
  onTestFinished(async () => {
    await transport.close()
    await server.stop()
  })
  let asked = 0
  const leader = new Leader({
    transport,
    namespace: 'here',
    name: 'operator',
    identity: 'me',
    beginEpoch: () => Promise.reject(new Error(`the database is away, ${++asked}`)),
    log: createLogger('silent'),
    metrics: createMetrics(),
    times: { lease: seconds(6), attempt: seconds(2), retry: milliseconds(50), margin: seconds(1) },
  })
  const acquired = leader.acquire(new AbortController().signal)
  acquired.catch(() => undefined)
  await until(() => asked > 2)
  server.lease.write({ holderIdentity: 'other', leaseDurationSeconds: 600 })
  await expect(acquired).rejects.toThrow(new Fenced('another process holds the lease'))
  const before = asked
  // Ten times as long as it takes to ask again.
  const lost = performance.now()
  await until(() => performance.now() - lost > 500)
  expect(asked).toBe(before)
})

test('a lease that can be read and not be made is told of once, however often it is tried', async () => {
  const server = await new FaultServer().start()
  const transport = server.transport()
  const stop = new AbortController()
  onTestFinished(async () => {
    stop.abort()
    await transport.close()
    await server.stop()
  })
  server.lease.forbids = true
  const lines: { msg?: string }[] = []
  const log = createLogger('info', { write: (line) => void lines.push(JSON.parse(line) as { msg?: string }) })
  const leader = new Leader({
    transport,
    namespace: 'here',
    name: 'operator',
    identity: 'me',
    beginEpoch: () => Promise.resolve(1n),
    log,
    metrics: createMetrics(),
    times: { lease: seconds(6), attempt: seconds(2), retry: milliseconds(20), margin: seconds(1) },
  })
  void leader.acquire(stop.signal)
  await until(() => server.lease.forbidden >= 4)
  expect(lines.filter(({ msg }) => msg === 'lease cannot be read or taken yet')).toHaveLength(1)
})
