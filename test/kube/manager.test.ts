/** What a process consists of ends together: a loop that died was not noticed for twelve hours once. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { createKube } from '../../src/kube/kube.ts'
import { Leader } from '../../src/kube/leader.ts'
import { Manager } from '../../src/kube/manager.ts'
import { Probes } from '../../src/kube/probes.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { controlPlane, namespace } from '../support/cluster.ts'
import { configMaps } from './config-maps.ts'

const log = createLogger('silent')
const { kubeconfig } = controlPlane()
const ns = await namespace()

async function manage() {
  const metrics = createMetrics()
  const kube = await createKube({ credentials: { kubeconfig }, log, metrics, fieldManager: 'test' })
  kube.informer({ type: configMaps, namespace: ns })
  const leader = new Leader({
    transport: kube.transport,
    namespace: ns,
    name: randomBytes(4).toString('hex'),
    identity: 'test',
    beginEpoch: () => Promise.resolve(1n),
    log,
    metrics,
  })
  const probes = new Probes({ kube, metrics, port: 0, host: '127.0.0.1' })
  const manager = new Manager({ kube, leader, probes, log })
  const order: string[] = []
  const waits = (name: string, leaderOnly: boolean) =>
    manager.add({
      name,
      leaderOnly,
      async start(signal) {
        order.push(`${name} begins`)
        if (!signal.aborted) await once(signal, 'abort')
        order.push(`${name} ends`)
      },
    })
  waits('server', false)
  waits('controller', true)
  return { manager, order }
}

test.each([
  ['ends by itself', () => Promise.resolve(), /^ended by itself$/],
  ['throws', () => Promise.reject(new Error('no more')), /^no more$/],
])('a loop that %s ends all the others, and the process says why', async (_, start, why) => {
  for (const leaderOnly of [true, false]) {
    const { manager, order } = await manage()
    manager.add({ name: 'loop', leaderOnly, start })
    await expect(manager.run(new AbortController().signal)).rejects.toThrow(why)
    expect(order.filter((each) => each.endsWith('ends')).length).toBe(order.length / 2)
    expect(order).toContain('server ends')
  }
})

test('told to stop, all end in the reverse order of their beginning, and nothing is wrong', async () => {
  const { manager, order } = await manage()
  const stop = new AbortController()
  manager.add({ name: 'last', leaderOnly: true, start: async () => stop.abort() })
  await manager.run(stop.signal)
  expect(order).toEqual(['server begins', 'controller begins', 'controller ends', 'server ends'])
})
