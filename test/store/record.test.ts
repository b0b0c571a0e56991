import { expect, test } from 'vitest'
import { Terminal } from '../../src/errors.ts'
import type { Recorded, WorkspaceIntent } from '../../src/store/workspace-store.ts'
import { database } from '../support/database.ts'
import { asWritten, eventsOf, fenceOf, given, intent, keyOf, launchOf, lease, rowOf, someoneWaits } from './given.ts'

const { store, metrics, sql } = given(await database())
const fence = fenceOf(await store.leaders.begin(lease, 'test'))
const record = (more: WorkspaceIntent): Promise<Recorded> => store.workspaces.record(more, fence)
const kindsOf = (all: readonly Recorded[]) => all.map((one) => one.kind)

test('writes the intent, its event and its place, and answers with the row', async () => {
  const asked = intent({
    canvas: { x: 1.5, y: -2, collapsed: true },
    workspaceDir: '/srv/x',
    workspaceAccess: 'read_only',
  })
  const recorded = await record(asked)
  expect(recorded).toMatchObject({
    kind: 'recorded',
    changed: true,
    row: { status: 'provisioning', launchAttempts: 0 },
  })
  const [row] = await sql('SELECT * FROM workspaces WHERE id = $1', asked.id)
  expect(row).toMatchObject({
    name: asked.displayName,
    role: asked.role,
    tier: 3,
    namespace: 'acme',
    resource_name: asked.resourceName,
    owner_uid: asked.ownerUid,
    workspace_dir: '/srv/x',
    workspace_access: 'read_only',
    observed_generation: '1',
    leader_epoch: String(fence.epoch),
  })
  expect(await eventsOf(sql, asked.id)).toEqual(['WORKSPACE_PROVISIONING'])
  expect(await sql('SELECT x, y, collapsed FROM canvas_layouts WHERE workspace_id = $1', asked.id)).toEqual([
    { x: 1.5, y: -2, collapsed: true },
  ])
})

test('the same intent again writes nothing: no row version, no lock, no event', async () => {
  const asked = intent({ canvas: { x: 1, y: 2, collapsed: false }, initialPhase: 'awaiting_agent' })
  await record(asked)
  const versions = () =>
    sql(
      `SELECT w.xmin::text, w.xmax::text, w.ctid::text, c.xmin::text AS place
       FROM workspaces w JOIN canvas_layouts c ON c.workspace_id = w.id WHERE w.id = $1`,
      asked.id,
    )
  const before = await versions()
  expect(await record(asked)).toMatchObject({ kind: 'recorded', changed: false, row: { status: 'awaiting_agent' } })
  expect(await versions()).toEqual(before)
  expect(await eventsOf(sql, asked.id)).toEqual(['WORKSPACE_AWAITING_AGENT'])
})

test('a newer generation is written, an older one and another owner are stale', async () => {
  const asked = intent()
  await record(asked)
  expect(await record({ ...asked, generation: 3, displayName: 'Renamed' })).toMatchObject({ changed: true })
  expect(await record({ ...asked, generation: 2 })).toEqual({ kind: 'stale' })
  expect(await record({ ...asked, generation: 4, ownerUid: 'someone-else' })).toEqual({ kind: 'stale' })
  expect(await sql('SELECT name, observed_generation FROM workspaces WHERE id = $1', asked.id)).toEqual([
    { name: 'Renamed', observed_generation: '3' },
  ])
})

test('backend and status are those of the birth', async () => {
  const asked = intent()
  await record(asked)
  const again = rowOf(await record({ ...asked, generation: 2, backend: 'docker', initialPhase: 'awaiting_agent' }))
  expect(again).toMatchObject({ backend: 'process', status: 'provisioning' })
})

test('after removal every record is stale', async () => {
  const asked = intent()
  await record(asked)
  await store.workspaces.remove(asked, fence)
  expect(await record({ ...asked, generation: 9 })).toEqual({ kind: 'stale' })
})

test('a parent in the same batch counts, whatever the order of the ids', async () => {
  const root = intent()
  const chain = [root]
  for (let depth = 0; depth < 20; depth++) chain.push(intent({ parentOwnerUid: chain.at(-1)?.ownerUid }))
  const recorded = await Promise.all(chain.toReversed().map(record))
  expect(new Set(kindsOf(recorded))).toEqual(new Set(['recorded']))
})

test('without a live parent nothing is written, and two that are each other’s parents wait both', async () => {
  const orphan = intent({ parentOwnerUid: intent().ownerUid })
  const [a, b] = [intent(), intent()]
  const waiting = [orphan, { ...a, parentOwnerUid: b.ownerUid }, { ...b, parentOwnerUid: a.ownerUid }]
  expect(kindsOf(await Promise.all(waiting.map(record)))).toEqual(['parentMissing', 'parentMissing', 'parentMissing'])
  const removed = intent()
  await record(removed)
  await store.workspaces.remove(removed, fence)
  expect(await record(intent({ parentOwnerUid: removed.ownerUid }))).toEqual({ kind: 'parentMissing' })
  expect(await sql('SELECT 1 FROM workspaces WHERE id = ANY ($1)', [waiting.map((one) => one.id)].flat())).toEqual([])
})

test('a child whose parent is removed goes on', async () => {
  const parent = intent()
  const child = intent({ parentOwnerUid: parent.ownerUid })
  await Promise.all([parent, child].map(record))
  await store.workspaces.remove(parent, fence)
  expect(await record(child)).toMatchObject({ kind: 'recorded', changed: false })
  expect(await record({ ...child, generation: 2, role: 'other' })).toMatchObject({ kind: 'recorded', changed: true })
})

test('of twins in one batch the smaller id wins, and the other hears who has the name', async () => {
  const twins = [intent({ displayName: 'Twin' }), intent({ displayName: 'Twin' })].sort((a, b) =>
    a.id < b.id ? -1 : 1,
  )
  const [winner, loser] = twins as [WorkspaceIntent, WorkspaceIntent]
  const [second, first] = await Promise.all([loser, winner].map(record))
  expect(first?.kind).toBe('recorded')
  const taken = { kind: 'siblingTaken', by: winner.resourceName }
  expect(second).toEqual(taken)
  expect(await record(loser)).toEqual(taken)
})

test('a name is free in another namespace, under another parent, and after a removal', async () => {
  const first = intent({ displayName: 'Same' })
  await record(first)
  const parent = intent()
  await record(parent)
  const others = [
    intent({ displayName: 'Same', namespace: 'other' }),
    intent({ displayName: 'Same', parentOwnerUid: parent.ownerUid }),
  ]
  expect(kindsOf(await Promise.all(others.map(record)))).toEqual(['recorded', 'recorded'])
  await store.workspaces.remove(first, fence)
  expect((await record(intent({ displayName: 'Same' }))).kind).toBe('recorded')
})

test('a rename or a move onto a taken name is refused and changes nothing', async () => {
  const [parent, a] = [intent(), intent({ displayName: 'Taken' })]
  const b = intent({ displayName: 'Mover', parentOwnerUid: parent.ownerUid })
  await Promise.all([parent, a, b].map(record))
  expect(await record({ ...b, generation: 2, displayName: 'Taken', parentOwnerUid: undefined })).toMatchObject({
    kind: 'siblingTaken',
    by: a.resourceName,
  })
  expect(await sql('SELECT name, parent_id FROM workspaces WHERE id = $1', b.id)).toEqual([
    { name: 'Mover', parent_id: parent.id },
  ])
  expect(await record({ ...b, generation: 2, parentOwnerUid: undefined })).toMatchObject({
    kind: 'recorded',
    changed: true,
  })
})

test('a race for a name that the look did not see ends in siblingTaken', async () => {
  const [ours, theirs] = [intent({ displayName: 'Raced' }), intent({ displayName: 'Raced' })]
  const open = sql // the other process: a transaction that is not committed when we look
  await open('BEGIN')
  await open(
    `INSERT INTO workspaces (id, name, namespace, resource_name, owner_uid, runtime, model, backend,
       observed_generation, spec_hash, leader_epoch)
     VALUES ($1, 'Raced', 'acme', $2, $3, 'r', 'm', 'process', 1, 'h', 1)`,
    theirs.id,
    theirs.resourceName,
    theirs.ownerUid,
  )
  const recorded = Promise.all([ours, intent(), intent()].map(record))
  await someoneWaits(sql)
  await open('COMMIT')
  expect(kindsOf(await recorded)).toEqual(['siblingTaken', 'recorded', 'recorded'])
})

test('a poison row among 200 is refused alone', async () => {
  const all = Array.from({ length: 200 }, () => intent())
  const poison = { ...intent(), displayName: 'zero \u0000 byte' }
  all[77] = poison
  const settled = await Promise.allSettled(all.map(record))
  expect(settled.filter((one) => one.status === 'fulfilled' && one.value.kind === 'recorded')).toHaveLength(199)
  expect(settled[77]).toMatchObject({ status: 'rejected', reason: expect.any(Terminal) as unknown })
  expect(
    await sql(
      'SELECT count(*)::int AS n FROM workspaces WHERE id = ANY ($1)',
      all.map((one) => one.id),
    ),
  ).toEqual([{ n: 199 }])
  const poisoned = await metrics.sqlPoisoned.get()
  expect(poisoned.values).toContainEqual(expect.objectContaining({ labels: { name: 'record' }, value: 1 }))
})

test('an agent’s word on its delivery stands until the spec changes', async () => {
  const asked = intent({ backend: 'external', deliveryMode: 'push' })
  await record(asked)
  await store.agents.register({ id: asked.id, url: '', agentCard: {}, deliveryMode: 'poll' })
  expect(await record(asked)).toMatchObject({ changed: false })
  expect(await store.agents.address(asked.id)).toMatchObject({ deliveryMode: 'poll' })
  await record({ ...asked, generation: 2 })
  expect(await store.agents.address(asked.id)).toMatchObject({ deliveryMode: 'push' })
})

test('1,000 at once take at most a statement for 20', async () => {
  const statements = async () =>
    (await metrics.sqlStatements.get()).values.find((value) => value.labels['name'] === 'record')?.value ?? 0
  const before = await statements()
  await Promise.all(Array.from({ length: 1000 }, () => record(intent())))
  expect(((await statements()) - before) / 1000).toBeLessThanOrEqual(0.05)
})

test('a launch of a row that is gone is an error of that caller alone', async () => {
  const asked = intent()
  await record(asked)
  const [there, gone] = await Promise.allSettled([
    store.workspaces.launch(launchOf(asked), fence),
    store.workspaces.launch(launchOf(intent()), fence),
  ])
  expect(there.status).toBe('fulfilled')
  expect(gone).toMatchObject({ status: 'rejected' })
})

test('a transition is told with the pass that made it, where it says', async () => {
  const made = intent()
  await store.workspaces.record(made, fence)
  await store.workspaces.launch({ ...launchOf(made), reconcileId: 'first' }, fence)
  await store.workspaces.launch({ ...launchOf(made), reconcileId: 'second' }, fence)
  const change = { ...keyOf(made), from: ['provisioning'], to: 'failed', event: 'WORKSPACE_PROVISION_FAILED' } as const
  await store.workspaces.change({ ...change, reason: 'BootFailed', reconcileId: 'third' }, fence)
  const told = await sql(
    `SELECT payload ->> 'reconcileId' AS id FROM structure_events WHERE workspace_id = $1 ${asWritten}`,
    made.id,
  )
  // The birth of the row tells of the first launch.
  expect(told.map(({ id }) => id)).toEqual([null, 'second', 'third'])
})

test('a parent is found by its owner and namespace: a row of another namespace is none', async () => {
  const victim = intent({ namespace: 'victim' })
  await record(victim)
  // The object above asks for the row of the victim, or has no row at all.
  const decoy = intent({ namespace: 'attacker', adopts: victim.id, claim: 'adopt' })
  const child = intent({ namespace: 'attacker', parentOwnerUid: decoy.ownerUid })
  const cheeky = intent({ namespace: 'attacker', parentOwnerUid: victim.ownerUid })
  const all = await Promise.all([decoy, child, cheeky].map(record))
  expect(kindsOf(all)).toEqual(['nothingToAdopt', 'parentMissing', 'parentMissing'])
  expect(await sql('SELECT 1 FROM workspaces WHERE namespace = $1', 'attacker')).toEqual([])
  const both = [intent({ namespace: 'victim', resourceName: 'late' }), intent({ namespace: 'attacker' })] as const
  const together = [both[0], { ...both[1], parentOwnerUid: both[0].ownerUid }]
  expect(kindsOf(await Promise.all(together.map(record)))).toEqual(['recorded', 'parentMissing'])
})

test('a child without its parent takes no name from a root of the same batch', async () => {
  const [root, child] = [intent({ displayName: 'Same place' }), intent({ displayName: 'Same place' })]
  const waiting = { ...child, parentOwnerUid: intent().ownerUid, id: '00000000-0000-4000-8000-000000000000' as never }
  expect(kindsOf(await Promise.all([waiting, root].map(record)))).toEqual(['parentMissing', 'recorded'])
})

/** A row as it could come to be before: below a row of another namespace. */
async function misplaced(): Promise<{ above: WorkspaceIntent; child: WorkspaceIntent }> {
  const [above, child] = [intent({ namespace: 'victim' }), intent({ namespace: 'attacker' })]
  await Promise.all([above, child].map(record))
  await sql('ALTER TABLE workspaces DISABLE TRIGGER workspaces_moved_in_namespace')
  await sql('UPDATE workspaces SET parent_id = $2 WHERE id = $1', child.id, above.id)
  await sql('ALTER TABLE workspaces ENABLE TRIGGER workspaces_moved_in_namespace')
  return { above, child }
}

test('a row that has a parent of another namespace waits for one of its own, and speaks to none of the others', async () => {
  const { above, child } = await misplaced()
  const below = intent({ namespace: 'attacker', parentOwnerUid: child.ownerUid })
  await record(below)
  for (const from of [child, below])
    for (const pair of [[from.id, above.id] as const, [above.id, from.id] as const])
      expect(await store.agents.mayTalk(...pair)).toBe(false)
  expect(await store.agents.mayTalk(below.id, child.id)).toBe(true)
  expect(await record({ ...child, generation: 2, keepsParent: true })).toEqual({ kind: 'parentMissing' })
  expect(await record({ ...child, generation: 2, parentOwnerUid: above.ownerUid })).toEqual({ kind: 'parentMissing' })
  expect(await record({ ...child, generation: 2 })).toMatchObject({ kind: 'recorded', row: { parentId: undefined } })
})

test('a kept parent of another namespace is none, also when it is of the same batch', async () => {
  const { above, child } = await misplaced()
  const both = [
    { ...above, generation: 2 },
    { ...child, generation: 2, keepsParent: true },
  ]
  expect(kindsOf(await Promise.all(both.map(record)))).toEqual(['recorded', 'parentMissing'])
})

test('the database refuses a parent of another namespace, whoever writes it, and keeps the rows that have one', async () => {
  const { above, child } = await misplaced()
  const refused = { constraint: 'workspaces_same_namespace' }
  const own = intent({ namespace: 'attacker' })
  await record(own)
  await expect(sql('UPDATE workspaces SET parent_id = $2 WHERE id = $1', own.id, above.id)).rejects.toMatchObject(
    refused,
  )
  await expect(sql(`UPDATE workspaces SET namespace = 'victim' WHERE id = $1`, child.id)).resolves.toEqual([])
  await expect(sql(`UPDATE workspaces SET namespace = 'third' WHERE id = $1`, child.id)).rejects.toMatchObject(refused)
  await expect(
    sql(
      `INSERT INTO workspaces (name, namespace, resource_name, owner_uid, runtime, model, backend, observed_generation,
         spec_hash, leader_epoch, parent_id) VALUES ('n', 'attacker', 'n', 'u', 'r', 'm', 'process', 1, 'h', 1, $1)`,
      above.id,
    ),
  ).rejects.toMatchObject(refused)
  expect(await record({ ...own, generation: 2, role: 'other' })).toMatchObject({ kind: 'recorded', changed: true })
})

test('no verb of a controller changes a row by its id alone', async () => {
  const victim = intent({ namespace: 'victim' })
  await record(victim)
  await store.workspaces.launch(launchOf(victim), fence)
  await store.agents.register({ id: victim.id, url: '', agentCard: {}, deliveryMode: undefined })
  const whole = () => sql('SELECT to_jsonb(w) AS row FROM workspaces w WHERE id = $1', victim.id)
  const before = await whole()
  const facts = { instanceId: 'mine', url: 'http://x', imageDigest: 'sha256:1' }
  for (const forged of [
    { ...victim, ownerUid: 'mallory' },
    { ...victim, namespace: 'attacker' },
  ]) {
    const { workspaces } = store
    const key = keyOf(forged)
    const change = {
      ...key,
      from: ['online'] as const,
      to: 'paused' as const,
      event: 'WORKSPACE_PAUSED',
      reason: 'Paused',
    }
    for (const refused of await Promise.allSettled([
      workspaces.change(change, fence),
      workspaces.launch(launchOf(forged), fence),
      workspaces.observed({ ...key, ...facts }, fence),
      workspaces.adopted({ ...key, ...facts, specHash: 'h' }, fence),
      workspaces.hibernate(key, new Date(Date.now() + 60_000), fence),
    ]))
      expect(refused).toMatchObject({
        status: 'rejected',
        reason: { message: expect.stringMatching(/no live row/) as unknown },
      })
    expect(await workspaces.remove(forged, fence, 'Delete')).toBeUndefined()
    expect(await workspaces.find(forged)).toBeUndefined()
    const parts = { hash: 'h', schedules: [], channels: [], keptChannels: [], memories: [], plugins: [], routing: {} }
    expect(await store.parts.recordParts({ ...key, generation: 9, ...parts }, fence)).toEqual({ kind: 'stale' })
  }
  expect(await whole()).toEqual(before)
  expect(await store.workspaces.find(victim)).toMatchObject({ id: victim.id, status: 'online' })
})
