import { expect, test } from 'vitest'
import { Fenced } from '../../src/errors.ts'
import { database } from '../support/database.ts'
import { fenceOf, given, intent, keyOf, launchOf, lease, someoneWaits } from './given.ts'

const url = await database()
const { store, sql } = given(url)
const replica = given(url)
const begin = async () => fenceOf(await store.leaders.begin(lease, 'test'))
const everything = () =>
  sql(`SELECT w.xmin::text, w.id, (SELECT count(*) FROM structure_events) AS events,
         (SELECT count(*) FROM workspace_auth_tokens) AS tokens, (SELECT count(*) FROM canvas_layouts) AS places,
         (SELECT count(*) FROM leaked_instances) AS leaks
       FROM workspaces w ORDER BY w.id`)

test('epochs only grow, each lease by itself', async () => {
  const [first, second] = [await begin(), await begin()]
  expect(second.epoch).toBe(first.epoch + 1n)
  expect(await store.leaders.begin('another lease', 'test')).toBe(1n)
  expect(await store.leaders.instance()).toMatch(/^[0-9a-f-]{36}$/)
})

test('an earlier epoch writes nothing, by no verb', async () => {
  const old = await begin()
  const there = intent()
  await store.workspaces.record(there, old)
  const before = await everything()
  await replica.store.leaders.begin(lease, 'the next')
  const { workspaces } = store
  const tries = [
    ...Array.from({ length: 20 }, () => workspaces.record(intent(), old)),
    workspaces.record({ ...there, generation: 2 }, old),
    workspaces.launch(launchOf(there), old),
    workspaces.observed({ ...keyOf(there), instanceId: 'i', url: 'http://x', imageDigest: 'sha256:1' }, old),
    workspaces.change({ ...keyOf(there), from: ['provisioning'], to: 'failed', event: 'E', reason: 'r' }, old),
    workspaces.record(intent({ adopts: there.id, claim: 'adoptOrCreate' }), old),
    workspaces.hibernate(there, new Date(), old),
    workspaces.adopted(
      { ...keyOf(there), instanceId: 'i', url: 'http://x', imageDigest: undefined, specHash: 'h' },
      old,
    ),
    workspaces.leak({ id: there.id, ownerUid: 'o', backend: 'b', instanceId: 'i', cause: 'c' }, old),
    workspaces.remove(there, old),
  ]
  for (const outcome of await Promise.allSettled(tries))
    expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(Fenced) as unknown })
  expect(await everything()).toEqual(before)
})

test('a lease that nobody began admits nobody', async () => {
  const { store } = given(url, { lease: 'never begun' })
  await expect(store.workspaces.record(intent(), fenceOf(1n))).rejects.toThrow(Fenced)
})

test('a lease that ran out by our own clock stops a write that waits to leave', async () => {
  const fence = await begin()
  const before = await everything()
  const waiting = store.workspaces.record(intent(), fence)
  fence.lose()
  await expect(waiting).rejects.toThrow(Fenced)
  expect(await everything()).toEqual(before)
})

test('an epoch that began while the write waited for it refuses the write', async () => {
  const fence = await begin()
  const asked = intent()
  await sql('BEGIN')
  await sql('UPDATE leaders SET epoch = epoch + 1 WHERE lease = $1', lease)
  const late = store.workspaces.record(asked, fence)
  const told = expect(late).rejects.toThrow(Fenced)
  await someoneWaits(sql)
  await sql('COMMIT')
  await told
  expect(await sql('SELECT 1 FROM workspaces WHERE id = $1', asked.id)).toEqual([])
})

test('a race of begin() and writes: what an epoch answered stands, what came later was refused', async () => {
  for (let round = 0; round < 5; round++) {
    const fence = await begin()
    const writes = Array.from({ length: 150 }, () => intent())
    const outcomes = Promise.allSettled(
      writes.map(async (one, index) => {
        if (index > 50) await store.agents.countByPhase()
        return store.workspaces.record(one, fence)
      }),
    )
    const next = await replica.store.leaders.begin(lease, 'the next')
    // From here on no row may come under the old epoch.
    const [atBegin] = await sql('SELECT count(*)::int AS n FROM workspaces WHERE leader_epoch < $1', String(next))
    const settled = await outcomes
    const [atEnd] = await sql('SELECT count(*)::int AS n FROM workspaces WHERE leader_epoch < $1', String(next))
    expect(atEnd).toEqual(atBegin)
    const ids = writes.filter((_, index) => settled[index]?.status === 'fulfilled').map((one) => one.id)
    const [found] = await sql(
      'SELECT count(*)::int AS n FROM workspaces WHERE id = ANY ($1)',
      writes.map((one) => one.id),
    )
    expect(found).toEqual({ n: ids.length })
  }
})
