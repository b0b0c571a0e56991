/** Silence turns into `offline`, once, and only where somebody was listening. */
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeEach, expect, it } from 'vitest'
import { milliseconds, seconds } from '../../src/duration.ts'
import type { AgentStore } from '../../src/store/agent-store.ts'
import { livenessSweeper } from '../../src/sweepers/liveness.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'
import { openRegistry } from './registry.ts'

const registry = await openRegistry(await database())
afterAll(() => registry.close())
beforeEach(() => registry.sql('DELETE FROM workspaces'))

const silentFor = (id: string, minutes: number) =>
  registry.sql(`UPDATE workspaces SET last_heartbeat_at = now() - make_interval(mins => $2) WHERE id = $1`, [
    id,
    minutes,
  ])

/** Runs the sweeper until `seen`. */
async function sweepUntil(
  seen: () => Promise<boolean>,
  agents: Pick<AgentStore, 'expire' | 'countByPhase' | 'countDuplicates'> = registry.store.agents,
) {
  const abort = new AbortController()
  const { log, metrics } = registry
  const silence = milliseconds(200)
  const ended = livenessSweeper({ agents, log, metrics, silence, every: milliseconds(20) }).start(abort.signal)
  try {
    await until(seen)
  } finally {
    abort.abort()
    await ended
  }
}

it('marks the silent and leaves those who speak, and those who are not expected to', async () => {
  const silent = await registry.online('')
  const external = await registry.online('http://agents.test/', { backend: 'external' })
  const paused = await registry.online('')
  await registry.setStatus(paused.id, 'paused')
  const booting = await registry.workspace()
  for (const { id } of [silent, external, paused]) await silentFor(id, 4)
  const talking = await registry.online('')
  await registry.sql(`UPDATE workspaces SET last_heartbeat_at = now() + interval '1 hour' WHERE id = $1`, [talking.id])
  const status = async ({ id }: { id: string }) =>
    (await registry.sql('SELECT status FROM workspaces WHERE id = $1', [id]))[0]?.['status']
  await sweepUntil(async () => (await status(silent)) === 'offline')
  expect(await status(external)).toBe('awaiting_agent')
  expect(await status(paused)).toBe('paused')
  expect(await status(booting)).toBe('provisioning')
  expect(await status(talking)).toBe('online')
  const events = await registry.sql(`SELECT workspace_id FROM structure_events WHERE event_type = 'WORKSPACE_OFFLINE'`)
  expect(new Set(events.map((event) => event['workspace_id']))).toEqual(new Set([silent.id, external.id]))
  expect(events).toHaveLength(2)
  const phases = (await registry.metrics.workspaces.get()).values
  expect(Object.fromEntries(phases.map(({ labels, value }) => [labels.phase, value]))).toMatchObject({
    offline: expect.any(Number),
    online: 1,
    paused: 1,
    provisioning: 1,
    failed: 0,
  })
})

it('waits before it calls anyone silent when it has only just begun to listen', async () => {
  const { id } = await registry.online('')
  await silentFor(id, 60)
  const abort = new AbortController()
  const { log, metrics, store } = registry
  let counts = 0
  const agents: Pick<AgentStore, 'expire' | 'countByPhase' | 'countDuplicates'> = {
    expire: (silence) => store.agents.expire(silence),
    countByPhase: () => store.agents.countByPhase().finally(() => counts++),
    countDuplicates: () => store.agents.countDuplicates(),
  }
  const sweeper = livenessSweeper({ agents, log, metrics, silence: seconds(180), every: milliseconds(10) })
  const ended = sweeper.start(abort.signal)
  await until(() => counts > 5)
  abort.abort()
  await ended
  expect(await registry.row(id)).toMatchObject({ status: 'online' })
})

it('survives a database that fails, says so once, listens anew afterwards, and never overlaps itself', async () => {
  const { id } = await registry.online('')
  await silentFor(id, -60)
  let calls = 0
  let atOnce = 0
  let most = 0
  let failedAt = Infinity
  /** Milliseconds since the last failure when silence was asked about. */
  const heard: number[] = []
  const agents: Pick<AgentStore, 'expire' | 'countByPhase' | 'countDuplicates'> = {
    async expire(silence) {
      if (calls >= 3) heard.push(performance.now() - failedAt)
      return registry.store.agents.expire(silence)
    },
    async countByPhase() {
      // After a failed look there is no yesterday's number.
      if (calls > 0) gauges.push((await registry.metrics.workspaces.get()).values)
      calls++
      most = Math.max(most, ++atOnce)
      await wait(30)
      atOnce--
      if (calls === 3) await silentFor(id, 60)
      if (calls <= 3) {
        failedAt = performance.now()
        throw new Error('the database is away')
      }
      return registry.store.agents.countByPhase()
    },
    countDuplicates: () => registry.store.agents.countDuplicates(),
  }
  const gauges: unknown[] = []
  const before = registry.lines.length
  await sweepUntil(async () => (await registry.row(id))['status'] === 'offline', agents)
  const [first, ...others] = registry.lines.slice(before).map((line) => (JSON.parse(line) as { msg: string }).msg)
  expect(first).toBe('liveness sweep failed')
  expect(gauges.slice(0, 2)).toEqual([[], []])
  // Who listened long enough before the first sweep that works says so in that sweep.
  expect(others.toSorted()).toEqual(['liveness sweep works again', 'silent agents marked offline'])
  expect(Math.min(...heard)).toBeGreaterThanOrEqual(100)
  expect(most).toBe(1)
})

it('counts siblings of one name, which an index would have kept away', async () => {
  const gauge = async () => (await registry.metrics.duplicateRows.get()).values[0]?.value
  const { id } = await registry.online('')
  await sweepUntil(async () => (await gauge()) === 0)
  const index = 'workspaces_parent_name_uniq'
  const [{ definition } = {}] = await registry.sql('SELECT pg_get_indexdef($1::regclass) AS definition', [index])
  await registry.sql(`DROP INDEX ${index}`)
  const twin = `INSERT INTO workspaces (name, runtime, model, owner_uid, namespace, resource_name, backend,
      observed_generation, spec_hash, leader_epoch, parent_id)
    SELECT name, runtime, model, gen_random_uuid(), namespace, 'twin', backend, 1, '', leader_epoch, parent_id
    FROM workspaces WHERE id = $1 RETURNING id`
  const [made] = await registry.sql(twin, [id])
  await sweepUntil(async () => (await gauge()) === 1)
  await registry.sql('DELETE FROM workspaces WHERE id = $1', [made?.['id']])
  await registry.sql(String(definition))
})

it('ends when it is told to, also in the middle of its pause', async () => {
  const abort = new AbortController()
  const { log, metrics, store } = registry
  const ended = livenessSweeper({ agents: store.agents, log, metrics, every: seconds(3600) }).start(abort.signal)
  abort.abort()
  await ended
})
