/** What agents are answered, and what the operator says of itself, for every way in which a database fails. */
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { migrate } from '../../src/store/postgres/migrate.ts'
import { troubles, type Trouble } from '../../src/store/postgres/faults.ts'
import { breakableDatabase, databaseFaults, statementFaults } from '../support/broken-database.ts'
import { until } from '../support/until.ts'
import { call, openRegistry, refusal } from './registry.ts'

const database = await breakableDatabase()
await migrate(database.url)
const registry = await openRegistry(database.url)
const { base, stop } = await registry.serve()
const member = await registry.workspace()
const end = new AbortController()
const watching = registry.store.watch(end.signal)
const { dependency } = registry.store
beforeAll(() => until(async () => (await beat()).status === 200))
afterAll(async () => {
  end.abort()
  await watching
  await stop()
  await registry.close()
  await database.stop()
})

const beat = () => call(base, 'POST', '/registry/heartbeat', member.token, { workspace_id: member.id, active_tasks: 0 })
const state = () => call(base, 'GET', `/workspaces/${member.id}/state`, member.token)
const said = (message: string) =>
  registry.lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ msg, dependency: name }) => msg === message && name === 'database')
const counted = async (cause: string) =>
  (await registry.metrics.dependencyErrors.get()).values.find(
    ({ labels }) => labels.dependency === 'database' && labels.cause === cause,
  )?.value ?? 0

/** What an agent is answered once it is refused. */
async function refused(
  trouble: Trouble,
  before: number,
  as = { code: 'store_unavailable', after: '5' },
): Promise<void> {
  const answer = await until(
    async () => {
      const answer = await beat()
      return answer.status === 200 ? undefined : answer
    },
    { what: 'a heartbeat that is refused', within: 60_000 },
  )
  expect(answer).toMatchObject({ status: 503, body: refusal(as.code) })
  expect(answer.headers.get('retry-after')).toBe(as.after)
  expect(answer.text).not.toMatch(/postgres|operator|127\.0\.0\.1|ECONN/i)
  expect(await counted(trouble)).toBeGreaterThan(before)
}

const isSaid = (trouble: Trouble) =>
  until(() => dependency.trouble === troubles[trouble], { what: troubles[trouble], within: 20_000 })

test.each(databaseFaults)(
  '$name: agents are asked to come again, readiness says why and the log once; then all is well',
  async ({ trouble, begin, end: mend, unseen = false }) => {
    registry.lines.length = 0
    const before = await counted(trouble)
    await begin(database)
    try {
      // Of most of it a look finds out by itself, on a replica that no agent asks.
      if (!unseen) await isSaid(trouble)
      await refused(trouble, before)
      await isSaid(trouble)
    } finally {
      await mend(database)
    }
    await until(async () => (await beat()).status === 200, { within: 30_000, what: 'a heartbeat that is taken' })
    await until(async () => (await state()).status === 200, { within: 30_000, what: 'a look that is answered' })
    await until(() => dependency.trouble === undefined, { within: 30_000, what: 'the word that it works' })
    const failed = said('dependency failed').filter(({ reason }) => reason === trouble)
    expect(failed).toEqual([expect.objectContaining({ level: 40, reason: trouble })])
    expect(said('dependency works again')).toHaveLength(1)
  },
  180_000,
)

test.each(statementFaults)(
  '$name: its caller is asked to come again, and the database is not called away for it',
  async ({ trouble, begin, end: mend }) => {
    registry.lines.length = 0
    const before = await counted(trouble)
    await begin(database)
    try {
      await refused(trouble, before, { code: 'store_busy', after: '2' })
    } finally {
      await mend(database)
    }
    expect(dependency.trouble).toBeUndefined()
    await until(async () => (await beat()).status === 200, { within: 30_000 })
  },
  180_000,
)

test('while the database lets no one in, looks alone knock, however many wait', async () => {
  await database.line.set('babble')
  try {
    await isSaid('unreachable')
    const before = database.line.taken
    const began = performance.now()
    // As objects that wait do, and agents that come again.
    await Promise.all(
      Array.from({ length: 100 }, async () => {
        const key = { ownerUid: member.id, namespace: 'default' }
        while (performance.now() - began < 3000) {
          await expect(registry.store.workspaces.find(key)).rejects.toThrow(troubles.unreachable)
          await setImmediate()
        }
      }),
    )
    // Looks come twice a second at most.
    expect(database.line.taken - before).toBeLessThanOrEqual(8)
  } finally {
    await database.line.set('pass')
  }
  await until(async () => (await beat()).status === 200, { within: 5000, what: 'a heartbeat that is taken' })
}, 60_000)
