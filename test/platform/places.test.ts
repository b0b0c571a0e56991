/** What agents that do not answer, or hardly, keep of the places for messages. */
import { afterAll, expect, test } from 'vitest'
import { milliseconds } from '../../src/duration.ts'
import { addressRule } from '../../src/outbound.ts'
import { createForward, type Destination, type limits } from '../../src/platform/forward.ts'
import { workspaceId } from '../../src/store/workspace-store.ts'
import { until } from '../support/until.ts'
import { startAgent } from './registry.ts'

let hanging = 0
const silent = await startAgent((_request, response) => {
  hanging++
  response.once('close', () => hanging--)
})
const well = await startAgent((_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
})
afterAll(() => {
  silent.stop()
  well.stop()
})

/** A way to agents, and the messages that it still has under way when it ends. */
function forwarding(given: Partial<typeof limits> = {}) {
  const refused: string[] = []
  const forward = createForward({
    rule: addressRule(),
    resolve: async () => [],
    limits: given,
    onBusy: (bound) => refused.push(bound),
  })
  const end = new AbortController()
  const send = (from: string | undefined, to: string, url: string, namespace = 'default') => {
    const destination: Destination = {
      id: workspaceId(to),
      namespace,
      url,
      external: false,
      from: from === undefined ? undefined : workspaceId(from),
      secret: undefined,
    }
    return forward.send(destination, '{}', end.signal)
  }
  const status = async (...what: Parameters<typeof send>) => {
    try {
      const { body, status } = await send(...what)
      body.resume()
      return status
    } catch (error) {
      return (error as { code?: string }).code
    }
  }
  const stop = async () => {
    end.abort()
    await forward.close()
  }
  return { send, status, refused, stop }
}

test('512 messages of one agent to one that is silent take no place from another agent or an admin', async () => {
  const { status, refused, stop } = forwarding()
  const hung = Array.from({ length: 512 }, () => status('attacker', 'silent', silent.url, 'attackers'))
  await until(() => hanging === 8 && refused.length === 504)
  expect(new Set(refused)).toEqual(new Set(['pair']))
  expect(await status('victim', 'well', well.url, 'victims')).toBe(200)
  expect(await status('attacker', 'well', well.url, 'attackers')).toBe(200)
  expect(await status(undefined, 'silent too', well.url, 'attackers')).toBe(200)
  await stop()
  await Promise.all(hung)
})

test('four namespaces whose agents are all silent leave places for another one and for an admin', async () => {
  const { status, refused, stop } = forwarding()
  const hung = Array.from({ length: 2048 }, (_, n) =>
    status(`from ${n % 64}`, `to ${(n * 7) % 128}`, silent.url, `attackers-${n % 4}`),
  )
  await until(() => refused.length > 1024 && hanging + refused.length === 2048, { within: 30_000 })
  expect(hanging).toBeGreaterThan(120)
  expect(await status('victim', 'well', well.url, 'victims')).toBe(200)
  expect(await status(undefined, 'well', well.url, 'victims')).toBe(200)
  await stop()
  await Promise.all(hung)
})

test('the refusal says what is full and when to come again, and the place is free once the answer has ended', async () => {
  const { send, status, stop } = forwarding({ places: { total: 8, reserved: 1, pair: 1, destination: 2, caller: 2 } })
  const hung = [status('a', 'silent', silent.url), status('b', 'silent', silent.url, 'other')]
  await until(() => hanging === 2)
  const busy = (what: string) => ({
    status: 503,
    code: 'busy',
    message: `too many messages ${what} are under way`,
    retryAfter: 15_000,
  })
  await expect(send('a', 'silent', silent.url)).rejects.toMatchObject(busy('of this caller to this agent'))
  await expect(send('c', 'silent', silent.url)).rejects.toMatchObject(busy('to this agent'))
  expect(await status('c', 'well', well.url)).toBe(200)
  await until(async () => (await status('c', 'well', well.url)) === 200)
  await stop()
  await Promise.all(hung)
})

test.each([
  ['a head that never ends', 'HTTP/1.1 200 OK\r\n', 'x-more: a\r\n', 'agent_timeout'],
  [
    'heads that come before the head',
    'HTTP/1.1 103 Early Hints\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\n\r\n',
    'agent_timeout',
  ],
  ['a body of a byte now and then', 'HTTP/1.1 200 OK\r\ncontent-length: 90000\r\n\r\n', '1', 'ends'],
  [
    'an event that never ends',
    'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 90000\r\n\r\n',
    'd',
    'ends',
  ],
])('%s is ended', async (_what, first, then, outcome) => {
  const slow = await startAgent((request) => {
    const { socket } = request
    socket.write(first)
    const timer = setInterval(() => socket.write(then), 20)
    socket.on('error', () => undefined).once('close', () => clearInterval(timer))
  })
  const span = milliseconds(400)
  const { send, stop } = forwarding({ head: span, idle: span, pace: span })
  const began = performance.now()
  const outcomeOf = async () => {
    const { body } = await send('a', 'slow', slow.url)
    body.on('error', () => undefined).resume()
    await new Promise((resolve) => body.once('close', resolve))
    return 'ends'
  }
  expect(await outcomeOf().catch((error: { code?: string }) => error.code)).toBe(outcome)
  expect(performance.now() - began).toBeLessThan(10_000)
  await stop()
  slow.stop()
})

test.each([
  ['text/event-stream', ': nothing new\n\n', 20],
  ['application/json', ' '.repeat(16 * 1024), 20],
])('an answer of %s that gets on is left alone, however long it takes', async (type, piece, pieces) => {
  const steady = await startAgent((_request, response) => {
    response.writeHead(200, { 'content-type': type })
    let sent = 0
    const timer = setInterval(() => {
      if (++sent <= pieces) return void response.write(piece)
      clearInterval(timer)
      response.end()
    }, 50)
  })
  const span = milliseconds(600)
  const { send, stop } = forwarding({ idle: span, pace: span })
  const { body } = await send('a', 'steady', steady.url)
  let bytes = 0
  for await (const chunk of body as AsyncIterable<Buffer>) bytes += chunk.length
  expect(bytes).toBe(piece.length * pieces)
  await stop()
  steady.stop()
})
