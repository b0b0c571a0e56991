/** The port of probes and metrics, which whatever reaches it may try to use up. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { createKube } from '../../src/kube/kube.ts'
import { Probes } from '../../src/kube/probes.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { controlPlane } from '../support/cluster.ts'
import { until } from '../support/until.ts'

async function started() {
  const { kubeconfig } = controlPlane()
  const [metrics, log] = [createMetrics(), pino({ level: 'silent' })]
  const kube = await createKube({ credentials: { kubeconfig }, log, metrics, fieldManager: 'test' })
  const probes = new Probes({ kube, metrics, port: 0 })
  await probes.start()
  onTestFinished(() => probes.stop())
  return { port: probes.port, base: `http://127.0.0.1:${probes.port}` }
}

test('it answers GET and HEAD alone, and keeps no connection', async () => {
  const { base } = await started()
  const healthy = await fetch(`${base}/healthz`)
  expect([healthy.status, await healthy.text(), healthy.headers.get('connection')]).toEqual([200, 'ok\n', 'close'])
  expect((await fetch(`${base}/healthz`, { method: 'HEAD' })).status).toBe(200)
  for (const method of ['POST', 'PUT', 'DELETE'])
    expect((await fetch(`${base}/metrics`, { method, body: 'x' })).status).toBe(405)
})

test('connections that say nothing are few, and are closed, so that probes get through again', async () => {
  const { base, port } = await started()
  const open = new Set<Socket>()
  const idle = Array.from({ length: 80 }, async () => {
    const socket = connect(port, '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => undefined).on('close', () => open.delete(socket))
    socket.resume()
    await once(socket, 'connect')
    open.add(socket)
  })
  const began = performance.now()
  await Promise.all(idle)
  await until(() => open.size <= 64)
  // Closed at once, not by the time that a head may take.
  expect(performance.now() - began).toBeLessThan(4000)
  await until(() => open.size === 0)
  expect((await fetch(`${base}/healthz`)).status).toBe(200)
})
