/** Each guard of the orphan collector, over a real PostgreSQL. test/controllers/orphans.test.ts has a real API server. */
import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Backend, InstanceRef } from '../../src/backends/backend.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { backendTroubles, measured } from '../../src/backends/measured.ts'
import { milliseconds } from '../../src/duration.ts'
import type { WorkspaceIntent } from '../../src/store/workspace-store.ts'
import { orphanSweeper, type OrphanOptions } from '../../src/sweepers/orphans/sweeper.ts'
import { Dependency } from '../../src/telemetry/dependency.ts'
import { never, specOf } from '../contract/spec.ts'
import { fenceOf, given, intent, lease } from '../store/given.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'

const { store, sql, metrics } = given(await database())
const fence = fenceOf(await store.leaders.begin(lease, 'me'))

/** The Workspaces as the cache and as the API server have them. */
const [cache, server] = [new Map<string, InstanceRef>(), new Set<string>()]
let trouble: string | undefined
let backend = new FakeBackend()
let lines: string[] = []
let events: string[] = []
const running: (() => Promise<void>)[] = []

/** As the operator sees it. */
function seen(backend: Backend): Backend {
  const log = pino({ level: 'silent' })
  const dependency = new Dependency({ name: 'fake', causes: backendTroubles, log, metrics })
  return measured(backend, { metrics, dependency, log })
}

beforeEach(async () => {
  for (const table of ['workspaces', 'orphans', 'retained_instances', 'structure_events'])
    await sql(`DELETE FROM ${table}`)
  cache.clear()
  server.clear()
  trouble = undefined
  backend = new FakeBackend()
  lines = []
  events = []
})
afterEach(async () => {
  for (const stop of running.splice(0)) await stop()
})

function start(more: Partial<OrphanOptions> = {}) {
  const abort = new AbortController()
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) })
  const sweeper = orphanSweeper({
    resources: {
      trouble: () => trouble,
      size: () => cache.size,
      uids: () => [...cache.keys()],
      has: ({ uid }) => cache.has(uid),
      exists: async ({ uid }) => server.has(uid),
    },
    rows: store.workspaces,
    store: store.orphans,
    backends: new Map<string, Backend>([['fake', backend]]),
    fence,
    event: ({ name }, type, reason) => void events.push(`${type} ${reason} ${name}`),
    mode: 'remove',
    onGone: () => undefined,
    grace: milliseconds(100),
    share: 0.2,
    log,
    metrics,
    ...more,
  })
  const ended = sweeper.start(abort.signal)
  const stop = async () => {
    abort.abort()
    await ended
  }
  running.push(stop)
  return { stop }
}

interface Made {
  readonly wanted: WorkspaceIntent
  readonly ref: InstanceRef
}

/** A Workspace with all that belongs to it. */
async function make(more: Partial<WorkspaceIntent> = {}): Promise<Made> {
  const wanted = intent({ backend: 'fake', deletionPolicy: 'Delete', ...more })
  const ref = { uid: wanted.ownerUid, namespace: wanted.namespace, name: wanted.resourceName }
  await store.workspaces.record(wanted, fence)
  await backend.ensure({ ...specOf('test/agent:1', ref.uid), ref }, never)
  cache.set(ref.uid, ref)
  server.add(ref.uid)
  return { wanted, ref }
}

const suspectsOf = ({ ref }: Made) =>
  (['row', 'instance', 'volume'] as const).map((plane) => ({
    plane,
    backend: 'fake',
    ownerUid: ref.uid,
    namespace: ref.namespace,
    resourceName: ref.name,
    cause: 'seen by an earlier process',
  }))

/** Somebody took the finalizer off by hand. */
function vanish({ ref }: Made): void {
  cache.delete(ref.uid)
  server.delete(ref.uid)
}

const rowOf = async ({ wanted }: Made) =>
  (await sql('SELECT status FROM workspaces WHERE id = $1', wanted.id))[0]?.['status']
const whole = async (made: Made) =>
  (await rowOf(made)) !== 'removed' && backend.has(made.ref.uid) && backend.volumes.has(made.ref.uid)
const told = async () => (await sql('SELECT event_type FROM structure_events')).map((row) => row['event_type'])
const sweeps = async (outcome: string) =>
  (await metrics.orphanSweeps.get()).values.find(({ labels }) => labels.outcome === outcome)?.value ?? 0
const heldFor = async () =>
  (await metrics.orphanHold.get()).values.filter(({ value }) => value === 1).map(({ labels }) => labels.reason)

/** Waits for that many further sweeps that ended so: then whatever a sweep does has been done. */
async function afterSweeps(count: number, outcome = 'done'): Promise<void> {
  const before = await sweeps(outcome)
  await until(async () => (await sweeps(outcome)) >= before + count, { every: 10, what: `${count} sweeps ${outcome}` })
}

test('a Workspace deleted by force: the row and its tokens, then the instance, then the volumes; each told of', async () => {
  const [kept, gone] = [await make(), await make()]
  await store.agents.mintToken(gone.wanted.id, Buffer.from(randomUUID()), 'prefix')
  vanish(gone)
  start()
  await until(() => !backend.volumes.has(gone.ref.uid), { what: 'the volumes to be gone' })
  expect(await rowOf(gone)).toBe('removed')
  expect(await sql('SELECT FROM workspace_auth_tokens WHERE revoked_at IS NULL')).toEqual([])
  expect(backend.has(gone.ref.uid)).toBe(false)
  await until(() => events.length === 3)
  expect(new Set(events)).toEqual(new Set([`Normal OrphanRemoved ${gone.ref.name}`]))
  expect((await told()).filter((type) => type === 'ORPHAN_REMOVED')).toHaveLength(3)
  expect(await sql('SELECT FROM orphans')).toEqual([])
  expect(await whole(kept)).toBe(true)
  await expect(metrics.registry.metrics()).resolves.toMatch(/orphans_removed_total\{plane="instance"\} [1-9]/)
})

test('a removed row whose instance still lives loses it', async () => {
  const made = await make()
  await store.workspaces.remove(made.wanted, fence, 'Delete')
  vanish(made)
  start()
  await until(() => !backend.has(made.ref.uid) && !backend.volumes.has(made.ref.uid))
})

test('what Retain keeps is never taken, whether the deletion was in order or by force', async () => {
  const [ordered, forced, suspect] = [await make(), await make({ deletionPolicy: 'Retain' }), await make()]
  await store.workspaces.remove(ordered.wanted, fence, 'Retain')
  for (const made of [ordered, forced, suspect]) vanish(made)
  start()
  await until(() => !backend.volumes.has(suspect.ref.uid), { what: 'another orphan to be gone' })
  await afterSweeps(5)
  expect(await rowOf(forced)).toBe('removed')
  for (const made of [ordered, forced]) {
    expect(backend.has(made.ref.uid)).toBe(true)
    expect(backend.volumes.has(made.ref.uid)).toBe(true)
  }
})

test('a lease that is lost right before the backend acts takes nothing away', async () => {
  const made = await make()
  await store.workspaces.remove(made.wanted, fence, 'Delete')
  vanish(made)
  const mine = fenceOf(fence.epoch)
  let asked = 0
  const late: Backend = {
    ...seen(backend),
    remove: (...call) => {
      asked++
      mine.lose()
      return backend.remove(...call)
    },
  }
  start({ backends: new Map([['fake', late]]), fence: mine })
  await until(() => asked > 0, { what: 'the removal to be asked for' })
  await afterSweeps(2, 'failed')
  expect(backend.has(made.ref.uid)).toBe(true)
  expect(backend.volumes.has(made.ref.uid)).toBe(true)
})

test('volumes that no row speaks of are reported, never removed', async () => {
  const made = await make()
  await sql('DELETE FROM workspaces')
  vanish(made)
  await make()
  start()
  await until(() => events.includes(`Warning OrphanFound ${made.ref.name}`))
  await until(() => !backend.has(made.ref.uid))
  await afterSweeps(3)
  expect(backend.volumes.has(made.ref.uid)).toBe(true)
})

test('another operator’s things are nobody’s business', async () => {
  const [theirs, mine] = [backend.seenBy('another'), await make()]
  const ref = { uid: randomUUID(), namespace: 'acme', name: 'theirs' }
  await theirs.ensure({ ...specOf('test/agent:1', ref.uid), ref }, never)
  vanish(mine)
  start()
  await until(() => !backend.volumes.has(mine.ref.uid))
  await afterSweeps(3)
  expect([theirs.has(ref.uid), theirs.volumes.has(ref.uid)]).toEqual([true, true])
  expect(events.filter((event) => event.endsWith('theirs'))).toEqual([])
})

test('nothing is done before its time in quarantine is over, by the clock of the database', async () => {
  const made = await make()
  vanish(made)
  await store.orphans.quarantine(suspectsOf(made), fence)
  await sql(`UPDATE orphans SET found_at = now() + interval '1 hour'`)
  start()
  await afterSweeps(5)
  expect(await whole(made)).toBe(true)
  expect(await sql('SELECT FROM orphans')).toHaveLength(3)
  await sql(`UPDATE orphans SET found_at = now() - interval '1 minute'`)
  await until(async () => (await rowOf(made)) === 'removed')
})

test('who is found is held for as long as is asked', async () => {
  const made = await make()
  vanish(made)
  const held: unknown[] = []
  const mark: typeof store.orphans.mark = async (...taking) => {
    await store.orphans.mark(...taking)
    held.push(
      ...(await sql(
        `SELECT taken_at - found_at >= interval '1 second' AS long FROM orphans WHERE taken_at IS NOT NULL`,
      )),
    )
  }
  start({ grace: milliseconds(1_000), store: { ...store.orphans, mark } })
  await until(() => !backend.volumes.has(made.ref.uid))
  expect(held).not.toHaveLength(0)
  expect(held).toEqual(held.map(() => ({ long: true })))
})

test('one look convicts nobody: a process that has just begun looks twice', async () => {
  const made = await make()
  vanish(made)
  await store.orphans.quarantine(suspectsOf(made), fence)
  await sql(`UPDATE orphans SET found_at = now() - interval '1 day'`)
  const [before, second] = [await sweeps('done'), Promise.withResolvers<void>()]
  let looks = 0
  const census: typeof store.orphans.census = async (...asked) => {
    if (++looks === 2) await second.promise
    return await store.orphans.census(...asked)
  }
  start({ store: { ...store.orphans, census } })
  try {
    await until(async () => looks === 2 && (await sweeps('done')) === before + 1, { what: 'the end of the first look' })
    expect(await whole(made)).toBe(true)
  } finally {
    second.resolve()
  }
  await until(async () => (await rowOf(made)) === 'removed')
})

test('who comes back leaves the quarantine, and begins anew when lost again', async () => {
  const made = await make()
  vanish(made)
  // Only reports, so that it may be as quick as it likes.
  start({ mode: 'report' })
  await until(async () => (await sql('SELECT FROM orphans')).length === 3)
  await sql(`UPDATE orphans SET found_at = now() - interval '1 day'`)
  cache.set(made.ref.uid, made.ref)
  await until(async () => (await sql('SELECT FROM orphans')).length === 0)
  cache.delete(made.ref.uid)
  await until(async () => (await sql('SELECT FROM orphans')).length === 3)
  expect(await sql(`SELECT FROM orphans WHERE found_at > now() - interval '1 hour'`)).toHaveLength(3)
})

test('the cache may be wrong: what the API server still has is left, and that is said', async () => {
  const made = await make()
  cache.delete(made.ref.uid)
  start()
  await until(async () => (await heldFor()).includes('ResourcesUnreadable'))
  await afterSweeps(3, 'held')
  expect(await whole(made)).toBe(true)
  expect(lines.join('')).toContain('orphans are left alone')
  expect(lines.filter((line) => line.includes('orphans are left alone'))).toHaveLength(1)
})

test('an API server that cannot be asked, or an object that cannot be read, is no proof of absence', async () => {
  const made = await make()
  vanish(made)
  const resources = {
    trouble: () => undefined,
    size: () => 0,
    uids: () => [],
    has: () => false,
    exists: () => Promise.reject(new Error('no answer')),
  }
  start({ resources })
  await afterSweeps(5, 'held')
  expect(await whole(made)).toBe(true)
})

test('resources that cannot be read hold everything, and nobody grows older meanwhile', async () => {
  const made = await make()
  vanish(made)
  trouble = 'the cache is forbidden'
  start()
  await afterSweeps(5, 'held')
  expect([await heldFor(), await whole(made)]).toEqual([['ResourcesUnreadable'], true])
  expect(await sql('SELECT FROM orphans')).toEqual([])
  trouble = undefined
  await until(async () => (await rowOf(made)) === 'removed')
  expect(await heldFor()).toEqual([])
})

test('a backend that does not answer holds everything, rows too', async () => {
  const made = await make()
  vanish(made)
  const heal = backend.fail('owned', new Error('the engine is away'), Number.POSITIVE_INFINITY)
  start()
  await afterSweeps(5, 'held')
  expect([await heldFor(), await whole(made)]).toEqual([['BackendUnreadable'], true])
  // What cannot be counted has no number; before, it was that of the last look.
  const numbers = async () => ({
    orphans: (await metrics.orphans.get()).values.length,
    doubled: (await metrics.duplicateInstances.get()).values.filter(({ labels }) => labels.backend === 'fake').length,
  })
  expect(await numbers()).toEqual({ orphans: 0, doubled: 0 })
  heal()
  await until(() => !backend.volumes.has(made.ref.uid))
  await until(async () => (await numbers()).doubled === 1)
})

test('a database that does not answer holds everything', async () => {
  const made = await make()
  vanish(made)
  const broken = { ...store.orphans, census: () => Promise.reject(new Error('the database is away')) }
  start({ store: broken })
  await afterSweeps(5, 'held')
  expect([await heldFor(), await whole(made)]).toEqual([['RowsUnreadable'], true])
})

test('rows that are suspiciously empty hold everything', async () => {
  const [made, lost] = [await make(), await make()]
  vanish(lost)
  await sql('DELETE FROM workspaces')
  start()
  await afterSweeps(5, 'held')
  expect(await heldFor()).toEqual(['RowsUnreadable'])
  for (const each of [made, lost]) expect(backend.has(each.ref.uid)).toBe(true)
})

test('resources that are suspiciously empty hold everything: a wiped cluster costs nobody an agent', async () => {
  const all = await Promise.all(Array.from({ length: 4 }, () => make()))
  for (const made of all) vanish(made)
  const { stop } = start()
  await afterSweeps(5, 'held')
  expect(await heldFor()).toEqual(['ResourcesEmpty'])
  for (const made of all) expect(await whole(made)).toBe(true)
  await stop()
  start({ share: 1 })
  await until(() => all.every((made) => !backend.volumes.has(made.ref.uid)), { what: 'all to go once people say so' })
})

test('more missing than the share hold everything', async () => {
  const all = await Promise.all(Array.from({ length: 10 }, () => make()))
  for (const made of all.slice(0, 4)) vanish(made)
  start()
  await afterSweeps(5, 'held')
  expect(await heldFor()).toEqual(['TooManyMissing'])
  for (const made of all) expect(await whole(made)).toBe(true)
})

test('one that cannot be removed does not keep the others', async () => {
  const [stuck, other, living] = [await make(), await make(), await make()]
  for (const made of [stuck, other]) vanish(made)
  const remove: Backend['remove'] = (ref, volumes, signal) =>
    ref.uid === stuck.ref.uid ? Promise.reject(new Error('device busy')) : backend.remove(ref, volumes, signal)
  start({ backends: new Map([['fake', { ...seen(backend), remove }]]) })
  await until(() => !backend.volumes.has(other.ref.uid), { what: 'the other to be gone' })
  await afterSweeps(2, 'failed')
  expect([backend.has(stuck.ref.uid), await rowOf(stuck), await whole(living)]).toEqual([true, 'removed', true])
  expect(lines.filter((line) => line.includes('orphans sweep failed'))).toHaveLength(1)
  expect(lines.join('')).toContain('device busy')
})

test('the first run on a database only reports, each orphan once; the next one removes', async () => {
  await sql('DELETE FROM orphan_collectors')
  const made = await make()
  vanish(made)
  const { stop } = start({ mode: 'auto' })
  await until(() => events.includes(`Warning OrphanFound ${made.ref.name}`))
  await afterSweeps(5)
  await stop()
  expect(await whole(made)).toBe(true)
  expect(events).toEqual([`Warning OrphanFound ${made.ref.name}`])
  expect((await told()).filter((type) => type === 'ORPHAN_REPORTED')).toHaveLength(1)
  const next = fenceOf(await store.leaders.begin(lease, 'me'))
  start({ mode: 'auto', fence: next })
  await until(async () => (await rowOf(made)) === 'removed')
  await until(() => !backend.volumes.has(made.ref.uid))
})
