/** F36: the address of the database leads to another server, while connections to the one before stay open and silent. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { afterAll, expect, test } from 'vitest'
import { migrate } from '../../src/store/postgres/migrate.ts'
import { ownPostgres } from '../support/database.ts'
import { until } from '../support/until.ts'
import { beatOf, fenceOf, given, intent, lease } from './given.ts'

const otherAddress = '127.0.0.2'
const [first, second] = await Promise.all([
  ownPostgres(undefined, [`listen_addresses=127.0.0.1,${otherAddress}`]),
  ownPostgres(),
])
await Promise.all([first, second].map(({ url }) => migrate(url)))

/** Where new connections go; those of before stay where they are. */
let target = first.url
const sockets = new Set<Socket>()
/** Hosts that connections were led to, in their order. */
const led: string[] = []
const proxy = createServer((near) => {
  const { hostname, port } = new URL(target)
  led.push(hostname)
  const far = connect({ port: Number(port), host: hostname, localAddress: '127.0.0.1' })
  for (const [one, other] of [
    [near, far],
    [far, near],
  ] as const) {
    sockets.add(one)
    one.on('error', () => other.destroy())
    one.on('close', () => sockets.delete(one))
    one.pipe(other)
  }
})
await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
const through = new URL(first.url)
through.port = String((proxy.address() as AddressInfo).port)
// Whoever connects by the address has one password for both.
const { password } = new URL(first.url)
await given(second.url).sql(`ALTER ROLE postgres PASSWORD '${decodeURIComponent(password)}'`)
const then = new URL(second.url)
then.password = password

const { store, metrics } = given(through.href, { pollEvery: 300, hasty: true })
afterAll(async () => {
  await store.close()
  for (const socket of sockets) socket.destroy()
  proxy.close()
  await Promise.all([first.stop(), second.stop()])
})

/** A store that listens, until the function that comes with it is called. */
function listen() {
  const abort = new AbortController()
  const heard = new Set<string>()
  const told = { moved: 0 }
  const listening = (async () => {
    for await (const { resourceName } of store.workspaces.changes(abort.signal, () => told.moved++))
      heard.add(resourceName)
  })()
  /** Recorded by the store, and found offline by its agent's beat: what NOTIFY tells. */
  const speaks = async (url: string) => {
    const { sql } = given(url)
    const fence = fenceOf(await store.leaders.begin(lease, 'test'))
    const asked = intent()
    await store.workspaces.record(asked, fence)
    await until(async () => {
      await sql(`UPDATE workspaces SET status = 'offline' WHERE id = $1`, asked.id)
      await store.agents.heartbeat(beatOf(asked.id))
      return heard.has(asked.resourceName)
    })
    return await sql('SELECT 1 FROM workspaces WHERE id = $1', asked.id)
  }
  const stop = async () => {
    abort.abort()
    await listening
  }
  return { told, speaks, stop }
}

test('another address of the same server is no other server: nothing is looked at anew', async () => {
  const { told, speaks, stop } = listen()
  await speaks(first.url)
  const second = new URL(first.url)
  second.hostname = otherAddress
  target = second.href
  // A connection that had to be made anew would be made, and told of, before the third look at the address.
  await until(() => led.filter((host) => host === otherAddress).length >= 3)
  await speaks(first.url)
  expect(told.moved).toBe(0)
  target = first.url
  await stop()
})

test('after a switch-over the connection that listens follows, statements do too, and all is looked at', async () => {
  const { told, speaks, stop } = listen()
  expect(await speaks(first.url)).toHaveLength(1)
  expect(told.moved).toBe(0)
  const listens = async () => (await metrics.databaseListening.get()).values[0]?.value
  expect(await listens()).toBe(1)

  target = then.href
  await until(() => told.moved > 0)
  expect(await speaks(then.href)).toHaveLength(1)
  const left = await given(first.url).sql(
    `SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'molecule-operator%'`,
  )
  expect(left.filter(({ application_name: name }) => name === 'molecule-operator-listen')).toEqual([])
  expect(told.moved).toBe(1)
  await stop()
})

test('so it does from a server that stands still, and answers no goodbye', async () => {
  const { told, speaks, stop } = listen()
  await speaks(then.href)
  const moved = told.moved
  for (const socket of sockets) socket.pause()
  target = first.url
  await until(() => told.moved > moved)
  expect(await speaks(first.url)).toHaveLength(1)
  await stop()
})
