/** What sessions outlive, and what empties them: an annotation, once, with a replacement. */
import { expect, test } from 'vitest'
import { RetryAfter } from '../../src/errors.ts'
import { milliseconds } from '../../src/duration.ts'
import { openScene, restartAt, stays } from '../incidents/scene.ts'
import { until } from '../support/until.ts'
import { conditionOf, runtime } from '../support/workspaces.ts'

const scene = await openScene()
const { backend, cluster, edit, launched, make, runtimeName, settles } = scene
const resetAt = (at: string | null) => ({ metadata: { annotations: { 'molecule.dev/reset-session-at': at } } })
const keeping = (sessionsPath?: string) =>
  cluster.apply([runtime(runtimeName, { bootDeadline: '1m', ...(sessionsPath !== undefined && { sessionsPath }) })])
/** Names of the sessions that are kept. */
const kept = (uid: string) => [...(backend.sessions.get(uid)?.keys() ?? [])]
const creates = (uid: string) => backend.creates.get(uid) ?? 0
const replaced = (uid: string, times: number) =>
  until(() => creates(uid) === times, { what: `launch ${times} of ${uid}`, within: 30_000 })

test('sessions outlive a restart, and are emptied once by an annotation, whatever fails in between', async () => {
  await keeping('/home/agent/.claude/sessions')
  await make('minds')
  const { uid } = (await settles('minds', 'Ready', 'True Settled')).metadata
  const add = (name: string) => backend.sessions.get(uid)?.set(name, 'x')
  add('first')
  await edit('minds', restartAt('1'))
  await replaced(uid, 2)
  await settles('minds', 'Ready', 'True Settled')
  expect(kept(uid)).toEqual(['first'])

  // The reset fails, and is done before anything is launched; then the launch fails, and it is not done again.
  backend.fail('resetSessions', new RetryAfter(milliseconds(50), 'not yet'))
  backend.fail('ensure', new RetryAfter(milliseconds(50), 'not yet'))
  await edit('minds', resetAt('2027-01-01T00:00:00Z'))
  await until(() => backend.removes.get(uid) === 2)
  await replaced(uid, 3)
  await settles('minds', 'Ready', 'True Settled')
  expect(kept(uid)).toEqual([])
  expect(backend.resets.get(uid)).toBe(1)
  const events = `/apis/events.k8s.io/v1/namespaces/${scene.ns}/events`
  await until(async () => JSON.stringify(await scene.ask('GET', events)).includes('SessionsReset'))

  add('second')
  await edit('minds', restartAt('2'))
  await replaced(uid, 4)
  await settles('minds', 'Ready', 'True Settled')
  await edit('minds', resetAt(null))
  await scene.restarted()
  await scene.looked('minds')
  expect(creates(uid)).toBe(4)
  expect(kept(uid)).toEqual(['second'])
  expect(backend.resets.get(uid)).toBe(1)
  await edit('minds', resetAt('2027-01-02T00:00:00Z'))
  await replaced(uid, 5)
  await settles('minds', 'Ready', 'True Settled')
  expect(kept(uid)).toEqual([])
})

test('a database or an API server that is put back from a backup empties nothing a second time', async () => {
  await make('restored')
  const { uid } = (await settles('restored', 'Ready', 'True Settled')).metadata
  const asked = async (change: object, times: number) => {
    await edit('restored', change)
    await replaced(uid, times)
    await settles('restored', 'Ready', 'True Settled')
    return kept(uid)
  }
  expect(await asked(resetAt('first'), 2)).toEqual([])
  backend.sessions.get(uid)?.set('mind', 'x')
  // The row as it was before that reset.
  await scene.query(
    `UPDATE workspaces SET launched_hash = array_to_string((string_to_array(launched_hash, '.'))[1:3], '.') WHERE owner_uid = $1`,
    [uid],
  )
  expect(await asked(restartAt('1'), 3)).toEqual(['mind'])
  expect(await asked(resetAt('second'), 4)).toEqual([])
  backend.sessions.get(uid)?.set('mind', 'x')
  // The object as it was before that reset.
  expect(await asked(resetAt('first'), 5)).toEqual(['mind'])
  expect(backend.resets.get(uid)).toBe(2)
})

test('one that is paused is emptied when it runs again', async () => {
  await make('napping')
  const { uid } = (await settles('napping', 'Ready', 'True Settled')).metadata
  backend.sessions.get(uid)?.set('old', 'x')
  await edit('napping', { spec: { power: 'Paused' } })
  await settles('napping', 'Ready', 'True Paused')
  await edit('napping', resetAt('1'))
  await scene.looked('napping')
  expect(kept(uid)).toEqual(['old'])
  await edit('napping', { spec: { power: 'Running' } })
  await replaced(uid, 2)
  await settles('napping', 'Ready', 'True Settled')
  expect(kept(uid)).toEqual([])
})

test('without sessions the annotation asks for nothing; sessions that a runtime begins to keep replace its agents', async () => {
  await keeping()
  await make('plain')
  const { uid } = (await settles('plain', 'Ready', 'True Settled')).metadata
  await edit('plain', resetAt('1'))
  const told = (await scene.looked('plain')).status
  expect(conditionOf(told, 'Unsupported')).toBe('True NoSessions')
  expect(conditionOf(told, 'Ready')).toBe('True Settled')
  await stays(() => creates(uid), 500)
  expect(launched.filter(({ ref }) => ref.uid === uid).map(({ sessionsPath }) => sessionsPath)).toEqual([undefined])
  await keeping('/sessions')
  await replaced(uid, 2)
  expect(conditionOf((await settles('plain', 'Ready', 'True Settled')).status, 'Unsupported')).toBeUndefined()
  expect(launched.findLast(({ ref }) => ref.uid === uid)?.sessionsPath).toBe('/sessions')
})
