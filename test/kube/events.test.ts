/** What becomes of a series of events whose event is not there. */
import { expect, onTestFinished, test, vi } from 'vitest'
import { Events } from '../../src/kube/events.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { until } from '../support/until.ts'
import { FaultServer, status, thing, type Fault } from './fault-server.ts'

/** Emits the same news again and again; `requests` are those that came of it. */
async function begin() {
  const server = await new FaultServer().start()
  const transport = server.transport()
  onTestFinished(async () => {
    await transport.close()
    await server.stop()
  })
  const fence = { epoch: 1n, check: () => undefined }
  const events = new Events({ transport, fence, controller: 'test', instance: 'test', log: createLogger('silent') })
  const object = thing('a', 'uid-a', '1', 1)
  const tell = (uid: string, type: 'Normal' | 'Warning') =>
    events.emit(thing('a', uid, '1', 1), type, 'News', 'it is so')
  return {
    server,
    tell,
    emit: () => events.emit(object, 'Warning', 'Broken', 'it is broken'),
    requests: () => server.seen.map(({ method }) => method).join(),
  }
}

const fails =
  (method: string, code: number, reason: string): Fault =>
  (seen, response) =>
    seen.method === method && status(response, code, reason)

test('an event that was not taken is sent with the same news again', async () => {
  const { server, emit, requests } = await begin()
  server.fault = fails('POST', 500, 'InternalError')
  expect(emit()).toBe(true)
  await until(() => requests() === 'POST')
  server.fault = () => false
  // The answer has come once the news is new again.
  await until(emit)
  await until(() => requests() === 'POST,POST')
  expect(emit()).toBe(false)
})

test('a series whose event was deleted goes on in another', async () => {
  const { server, emit, requests } = await begin()
  emit()
  await until(() => requests() === 'POST')
  server.fault = fails('PATCH', 404, 'NotFound')
  const now = performance.now.bind(performance)
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + 61_000)
  onTestFinished(() => clock.mockRestore())
  expect(emit()).toBe(false)
  await until(() => requests() === 'POST,PATCH')
  await until(emit)
  await until(() => requests() === 'POST,PATCH,POST')
})

test('events are bounded in number, and those of what goes well leave room for warnings', async () => {
  const { tell } = await begin()
  const told = (type: 'Normal' | 'Warning') =>
    Array.from({ length: 200 }, (_, n) => tell(`${type}-${n}`, type)).filter(Boolean).length
  const [normal, warnings] = [told('Normal'), told('Warning')]
  expect(normal).toBeLessThan(50)
  expect(warnings).toBeGreaterThanOrEqual(100)
  expect(warnings).toBeLessThan(150)
})
