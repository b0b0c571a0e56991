import { expect, test } from 'vitest'
import { workspaceType, type Workspace } from '../../api/workspace.ts'
import { workspaceId } from '../../store/workspace-store.ts'
import type { Found } from '../references.ts'
import { judgeParts, partsOf, recordedFaults, type Parts, type PartsAround } from './parts.ts'

const id = workspaceId('6d6f6c65-6375-4c65-8000-000000000001')
const token = `123:${'a'.repeat(30)}`
const found = (values: Record<string, string>): Found => ({
  state: 'found',
  keys: Object.keys(values).sort(),
  value: (key) => (values[key] === undefined ? undefined : Buffer.from(values[key])),
})
const workspace = (spec: object): Workspace =>
  workspaceType.parse({
    apiVersion: 'molecule.dev/v1alpha1',
    kind: 'Workspace',
    metadata: {
      name: 'a',
      uid: 'u-1',
      namespace: 'ns',
      resourceVersion: '1',
      generation: 3,
      creationTimestamp: '2026-01-01T00:00:00Z',
    },
    spec,
  })
const around = (more: Partial<PartsAround> = {}): PartsAround => ({
  look: () => ({ state: 'missing' }),
  sealing: 'key-1',
  plugins: [],
  ...more,
})

function parts(spec: object, given = around()): Parts {
  const result = partsOf(workspace(spec), id, given)
  if ('waitingFor' in result) throw new Error(result.waitingFor)
  return result
}
const reasons = ({ faults }: Parts) => faults.map(({ reason }) => reason)

const daily = { name: 'daily', cron: '30 9 * * 1-5', timezone: 'Europe/Berlin', prompt: 'Report.' }
const telegram = { name: 'tg', type: 'telegram', config: { chat_id: '5' }, secretRef: { name: 'tg' } }
const withToken = around({ look: () => found({ bot_token: `${token}\n` }) })

test('nothing asked for: no rows, no condition, and always the same digest', () => {
  const none = parts({})
  expect(none.rows).toMatchObject({ id, ownerUid: 'u-1', generation: 3, schedules: [], channels: [], memories: [] })
  expect(judgeParts(none.rows, none.faults)).toBeUndefined()
  expect(parts({}).rows.hash).toBe(none.rows.hash)
})

test('all of it, defaults applied and secrets apart', () => {
  const spec = {
    schedules: [daily],
    channels: [telegram],
    memories: [{ content: 'MY_TOKEN=abc' }],
    categoryRouting: { design: ['Ada', 'Grace'] },
  }
  const all = parts(spec, { ...withToken, plugins: [{ name: 'p', source: 's' }] })
  expect(all.rows).toMatchObject({
    schedules: [{ ...daily, enabled: true }],
    channels: [{ name: 'tg', config: { chat_id: '5' }, credentials: { bot_token: token }, enabled: true }],
    memories: [{ content: 'MY_TOKEN=[redacted]', scope: 'LOCAL' }],
    plugins: [{ name: 'p', source: 's' }],
    routing: { design: ['Ada', 'Grace'] },
  })
  expect(judgeParts(all.rows, all.faults)).toEqual({
    holds: true,
    reason: 'Recorded',
    message: 'rows carry 1 schedules, 1 channels, 1 memories, 1 routes',
    delivered: { schedules: 1, channels: 1 },
  })
})

test('the digest follows every part, a secret and the key that seals it, and not the order of keys', () => {
  const hash = (spec: object, given = withToken) => parts(spec, given).rows.hash
  const base = { schedules: [daily], channels: [telegram], categoryRouting: { a: ['x'], b: ['y'] } }
  const same = hash(base)
  expect(hash({ ...base, categoryRouting: { b: ['y'], a: ['x'] } })).toBe(same)
  const others = [
    hash({ ...base, schedules: [{ ...daily, prompt: 'Other.' }] }),
    hash({ ...base, schedules: [{ ...daily, enabled: false }] }),
    hash({ ...base, memories: [{ content: 'x' }] }),
    hash({ ...base, categoryRouting: { a: ['x'] } }),
    hash(base, { ...withToken, plugins: [{ name: 'p', source: 's' }] }),
    hash(base, { ...withToken, sealing: 'key-2' }),
    hash(base, around({ look: () => found({ bot_token: `9${token}` }) })),
  ]
  expect(new Set([same, ...others]).size).toBe(others.length + 1)
  // Where nothing is sealed the key is of no matter.
  expect(hash({ schedules: [daily] }, around({ sealing: 'a' }))).toBe(
    hash({ schedules: [daily] }, around({ sealing: undefined })),
  )
})

test('without a key no credential goes anywhere, and the rest does', () => {
  const blocked = parts({ schedules: [daily], channels: [telegram] }, { ...withToken, sealing: undefined })
  expect(reasons(blocked)).toEqual(['SecretsKeyMissing'])
  expect(blocked.rows).toMatchObject({ channels: [], keptChannels: ['tg'], schedules: [{ name: 'daily' }] })
  expect(JSON.stringify(blocked)).not.toContain(token)
})

test('a credential that was written in clear is sealed all the same', () => {
  const { rows } = parts({ channels: [{ name: 'tg', type: 'telegram', config: { chat_id: '5', bot_token: token } }] })
  expect(rows.channels).toMatchObject([{ config: { chat_id: '5' }, credentials: { bot_token: token } }])
  expect(rows.channels[0]?.config).not.toHaveProperty('bot_token')
})

test('single settings by reference win over the others, and those of a Secret are secrets', () => {
  const objects: Record<string, Found> = {
    'Secret/tg': found({ bot_token: 'overruled' }),
    'Secret/vault': found({ bot: token }),
    'ConfigMap/ids': found({ chat: '7' }),
  }
  const look: PartsAround['look'] = (kind, name) => objects[`${kind}/${name}`] ?? { state: 'missing' }
  const configFrom = [
    { name: 'bot_token', valueFrom: { secretKeyRef: { name: 'vault', key: 'bot' } } },
    { name: 'chat_id', valueFrom: { configMapKeyRef: { name: 'ids', key: 'chat' } } },
    { name: 'note', value: 'x' },
    { name: 'absent', valueFrom: { secretKeyRef: { name: 'none', key: 'x', optional: true } } },
  ]
  const asked = parts({ channels: [{ ...telegram, configFrom }] }, around({ look }))
  expect(asked.rows.channels).toMatchObject([
    { config: { chat_id: '7', note: 'x' }, credentials: { bot_token: token } },
  ])
  const missing = { name: 'bot_token', valueFrom: { secretKeyRef: { name: 'vault', key: 'nothing' } } }
  expect(reasons(parts({ channels: [{ ...telegram, configFrom: [missing] }] }, around({ look })))).toEqual([
    'KeyMissing',
  ])
})

test('a Secret that cannot be had takes nothing away', () => {
  const missing = parts({ channels: [telegram] })
  expect(reasons(missing)).toEqual(['SecretMissing'])
  expect(missing.rows.keptChannels).toEqual(['tg'])
  expect(reasons(parts({ channels: [telegram] }, around({ look: () => ({ state: 'forbidden' }) })))).toEqual([
    'SecretForbidden',
  ])
  const syncing = around({ look: () => ({ state: 'syncing' }) })
  expect(partsOf(workspace({ channels: [telegram] }), id, syncing)).toEqual({
    waitingFor: 'Secret "tg" of namespace ns to be read',
  })
})

test('settings that cannot work are said so, without their values', () => {
  const wrong = parts({ channels: [telegram] }, around({ look: () => found({ bot_token: 'hunter2hunter2' }) }))
  expect(reasons(wrong)).toEqual(['ChannelInvalid'])
  expect(wrong.faults[0]?.message).toContain('spec.channels[tg]: its bot_token')
  expect(wrong.faults[0]?.message).not.toContain('hunter2')
})

test('what a ConfigMap may hold and no row takes is said, and keeps nothing else back', () => {
  const configFrom = [{ name: 'chat_id', valueFrom: { configMapKeyRef: { name: 'ids', key: 'chat' } } }]
  const look: PartsAround['look'] = (kind) => found(kind === 'Secret' ? { bot_token: token } : { chat: '7\0' })
  const odd = parts({ channels: [{ ...telegram, configFrom }], schedules: [daily] }, around({ look }))
  expect(odd.faults).toEqual([
    { name: 'tg', reason: 'ChannelInvalid', message: 'spec.channels[tg]: its chat_id has a NUL character in it' },
  ])
  expect(odd.rows).toMatchObject({ channels: [], schedules: [{ name: 'daily' }] })
})

test('a schedule that cannot be read, or never comes, has its row and its fault', () => {
  const spec = {
    schedules: [
      { ...daily, cron: '99 9 * * *' },
      { ...daily, name: 'x', timezone: 'Mars/Olympus' },
      { ...daily, name: 'never', cron: '0 0 30 2 *' },
    ],
  }
  const wrong = parts(spec)
  expect(reasons(wrong)).toEqual(['ScheduleInvalid', 'ScheduleInvalid', 'ScheduleInvalid'])
  expect(wrong.faults.at(-1)?.message).toBe('spec.schedules[never]: cron "0 0 30 2 *" never comes')
  expect(wrong.rows.schedules).toHaveLength(3)
  expect(judgeParts(wrong.rows, wrong.faults)).toMatchObject({
    holds: false,
    reason: 'ScheduleInvalid',
    delivered: { schedules: 0, channels: 0 },
  })
})

test('a name that the agent uses for its own is a fault once it shows', () => {
  expect(recordedFaults({ kind: 'recorded', changed: true, taken: ['daily'] })).toMatchObject([
    { reason: 'ScheduleNameTaken', message: expect.stringContaining('spec.schedules[daily]') as string },
  ])
  expect(recordedFaults({ kind: 'stale' })).toEqual([])
})
