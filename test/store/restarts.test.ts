/** What an agent is to be told of a restart: by which launches it is owed, to whom, and until when. */
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { milliseconds } from '../../src/duration.ts'
import type { WorkspaceIntent } from '../../src/store/workspace-store.ts'
import type { Delivery } from '../../src/sweepers/scheduler.ts'
import { restartContext } from '../../src/sweepers/restart-context.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'
import { fenceOf, given, intent, launchOf, lease } from './given.ts'

const { store, sql, metrics } = given(await database())
const { workspaces, agents, restarts } = store
const fence = fenceOf(await store.leaders.begin(lease, 'test'))

const owed = async ({ id }: Pick<WorkspaceIntent, 'id'>) =>
  (await restarts.owed(1000)).filter(({ workspaceId }) => workspaceId === id)
const kept = async ({ id }: Pick<WorkspaceIntent, 'id'>) =>
  (await sql('SELECT restart_context AS kept FROM workspaces WHERE id = $1', id))[0]?.['kept'] ?? null
const launch = (of: WorkspaceIntent, variables: readonly string[] = ['A']) =>
  workspaces.launch({ ...launchOf(of), variables }, fence)
const registers = ({ id }: WorkspaceIntent) =>
  agents.register({ id, url: '', agentCard: undefined, deliveryMode: undefined })
const serves = async (of: WorkspaceIntent) => {
  await registers(of)
  await sql(`UPDATE workspaces SET url = 'http://127.0.0.1:1' WHERE id = $1`, of.id)
}
const made = async (more: Partial<WorkspaceIntent> = {}) => {
  const asked = intent(more)
  await workspaces.record(asked, fence)
  return asked
}

test('a first launch owes nothing, even to who registered before it', async () => {
  const asked = await made()
  await registers(asked)
  await launch(asked)
  expect(await kept(asked)).toBeNull()
})

test('the first launch owes nothing, however often it fails; one after an agent served owes one message', async () => {
  const asked = await made()
  for (let twice = 0; twice < 2; twice++) await launch(asked)
  await serves(asked)
  expect(await kept(asked)).toBeNull()
  await launch(asked, ['B', 'C'])
  expect(await owed(asked)).toEqual([])
  // The launch after one that did not come to register owes the same, and knows the last.
  const first = await kept(asked)
  await launch(asked, ['D'])
  expect(await kept(asked)).toMatchObject({ id: (first as { id: string }).id, variables: ['D'] })
  await serves(asked)
  const [context, ...more] = await owed(asked)
  expect(more).toEqual([])
  expect(context).toMatchObject({ workspaceId: asked.id, namespace: 'acme', variables: ['D'] })
  expect(context?.endedAt).toBeInstanceOf(Date)
  await restarts.settle({ workspaceId: asked.id, messageId: crypto.randomUUID() })
  expect(await owed(asked)).toHaveLength(1)
  for (let twice = 0; twice < 2; twice++) if (context) await restarts.settle(context)
  expect(await owed(asked)).toEqual([])
  await launch(asked)
  await serves(asked)
  const [next] = await owed(asked)
  expect(next?.messageId).not.toBe(context?.messageId)
})

test.each(['paused', 'hibernated', 'hibernating'])(
  'a launch of one that was %s owes nothing, and ends what was owed',
  async (phase) => {
    const asked = await made()
    await launch(asked)
    await serves(asked)
    await launch(asked)
    expect(await kept(asked)).not.toBeNull()
    await serves(asked)
    await sql('UPDATE workspaces SET status = $2 WHERE id = $1', asked.id, phase)
    await launch(asked)
    expect(await kept(asked)).toBeNull()
  },
)

test('it is owed to who can be reached: an address, or an inbox; never to an external agent', async () => {
  const [pushed, polls, outside] = [
    await made({ deliveryMode: 'push' }),
    await made({ deliveryMode: 'poll' }),
    await made({ backend: 'external', initialPhase: 'awaiting_agent' }),
  ]
  for (const asked of [pushed, polls, outside]) {
    await launch(asked)
    await serves(asked)
    await launch(asked)
    await registers(asked)
  }
  expect(await owed(pushed)).toEqual([])
  expect(await owed(polls)).toHaveLength(1)
  expect(await kept(outside)).toBeNull()
  await serves(pushed)
  expect(await owed(pushed)).toHaveLength(1)
  await sql(`UPDATE workspaces SET status = 'offline' WHERE id = $1`, pushed.id)
  expect(await owed(pushed)).toEqual([])
})

test('of each namespace one comes first, however many another namespace has that came before', async () => {
  const several = [
    await made({ namespace: 'many' }),
    await made({ namespace: 'many' }),
    await made({ namespace: 'few' }),
  ]
  for (const asked of several) {
    await launch(asked)
    await serves(asked)
    await launch(asked)
    await serves(asked)
  }
  const all = await restarts.owed(1000)
  const namespaces = new Set(all.map(({ namespace }) => namespace))
  expect(all.filter(({ namespace }) => namespace === 'many')).toHaveLength(2)
  const first = await restarts.owed(namespaces.size)
  expect(new Set(first.map(({ namespace }) => namespace))).toEqual(namespaces)
})

test.each<[what: string, waited: string, delivery: Delivery, why: string]>([
  [
    'cannot be reached',
    '11 minutes',
    { kind: 'notReached', detail: 'the agent cannot be reached' },
    'it could not be reached for 10m after it was back',
  ],
  ['refuses it', '1 minute', { kind: 'failed', detail: 'the agent answered 500' }, 'the agent answered 500'],
])('of an agent that %s the message is dropped, and that is told once', async (_, waited, delivery, why) => {
  const asked = await made()
  await launch(asked)
  await serves(asked)
  await launch(asked)
  await serves(asked)
  await sql(`UPDATE workspaces SET registered_at = now() - $2::interval WHERE id = $1`, asked.id, waited)
  const counted = async () =>
    (await metrics.restartContexts.get()).values.find(({ labels }) => labels.outcome === 'dropped')?.value ?? 0
  const before = await counted()
  const events: unknown[] = []
  const abort = new AbortController()
  // What other tests left owed is of no interest here.
  const own = { ...restarts, owed: async () => await owed(asked) }
  const ended = restartContext({
    restarts: own,
    deliver: async () => delivery,
    fence,
    event: (...told) => events.push(told),
    log: pino({ level: 'silent' }),
    metrics,
    every: milliseconds(5),
  }).start(abort.signal)
  await until(() => events.length > 0)
  abort.abort()
  await ended
  expect(events).toEqual([
    [
      { uid: asked.ownerUid, namespace: asked.namespace, name: asked.resourceName },
      'Warning',
      'RestartContextDropped',
      expect.stringMatching(new RegExp(`^the agent was not told of its restart at .*Z: ${why}$`)),
    ],
  ])
  expect(await kept(asked)).toBeNull()
  const told = await sql(
    `SELECT payload ->> 'reason' AS why FROM structure_events
     WHERE workspace_id = $1 AND event_type = 'RESTART_CONTEXT_DROPPED'`,
    asked.id,
  )
  expect(told).toEqual([{ why }])
  expect(await counted()).toBe(before + 1)
})
