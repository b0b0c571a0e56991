/** What a backend says of a launch that did not come about: the first failure is told of, and all of them are counted. */
import { expect, test } from 'vitest'
import { Terminal } from '../../src/errors.ts'
import { openScene } from '../incidents/scene.ts'
import { until } from '../support/until.ts'
import { conditionOf, messageOf } from '../support/workspaces.ts'

const scene = await openScene({ image: 'test/agent:1' })
const { backend, make, row, settles } = scene

test('the first failure of a launch is in the status with when it is tried again, and so is each after it', async () => {
  const words = 'the engine did not start the instance: cgroup v9 is not mounted'
  const heal = backend.fail('ensure', new Error(words), 1000)
  await make('unlucky')
  const { metadata, status } = await settles('unlucky', 'Launched', 'False LaunchFailed')
  expect(messageOf(status, 'Launched')).toBe(words)
  expect(status?.summary).toBe(`Tried again after 5s (attempt 1 failed): ${words}`)
  expect(status).toMatchObject({ phase: 'failed', lastFailure: { reason: 'LaunchFailed' } })
  expect(conditionOf(status, 'Stalled')).toBeUndefined()
  // Passes in between count nothing: what is counted are launches.
  await scene.looked('unlucky')
  await scene.looked('unlucky')
  const third = await until(
    async () => {
      const found = await scene.get('unlucky')
      return found.status?.summary?.includes('attempt 3') === true ? found : undefined
    },
    { what: 'the third failure', within: 60_000 },
  )
  expect(third.status?.summary).toBe(`Tried again after 20s (attempt 3 failed): ${words}`)
  // An operator that is started anew counts on.
  await scene.restarted()
  const { status: after } = await scene.looked('unlucky')
  expect(after?.summary).toMatch(/^Tried again after (20|40)s \(attempt [34] failed\): /)
  expect((await row(metadata.uid))?.['launch_attempts']).toBeGreaterThanOrEqual(3)
  heal()
  await until(async () => conditionOf((await scene.get('unlucky')).status, 'Ready') === 'True Settled', {
    what: 'the instance to run',
    within: 90_000,
  })
  expect(await row(metadata.uid)).toMatchObject({ status: 'online', launch_attempts: 0 })
})

test('what cannot succeed is Stalled, whatever else makes a pass, and is looked at again when its cause is outside', async () => {
  const words = 'container ws-1 exists and is not this operator’s'
  const gone = backend.fail('ensure', new Terminal('NameTaken', words), 1000)
  await make('namesake')
  const { metadata, status } = await settles('namesake', 'Stalled', 'True NameTaken')
  expect(status?.summary).toBe(`Stalled: ${words}`)
  const looked = await scene.looked('namesake')
  expect(conditionOf(looked.status, 'Stalled')).toBe('True NameTaken')
  expect(conditionOf(looked.status, 'Reconciling')).toBeUndefined()
  // It is asked again, and says nothing new as long as the answer is the same.
  await until(async () => Number((await row(metadata.uid))?.['launch_attempts']) > 1, {
    what: 'a retry',
    within: 60_000,
  })
  const { status: asked } = await scene.looked('namesake')
  expect({ ...asked, lastHandledReconcileAt: '' }).toEqual({ ...looked.status, lastHandledReconcileAt: '' })
  // Nothing tells of it: the container was another's.
  gone()
  await until(async () => conditionOf((await scene.get('namesake')).status, 'Ready') === 'True Settled', {
    what: 'the name to be free',
    within: 90_000,
  })
  expect(backend.creates.get(metadata.uid)).toBe(1)
})

test('an instance that was started although the answer was lost goes on, and its launch is not called failed', async () => {
  backend.fail('ensure', new Error('the engine did not answer within 10 s'), 1000, true)
  await make('unheard')
  const { metadata, status } = await settles('unheard', 'Ready', 'True Settled')
  expect([backend.creates.get(metadata.uid), backend.removes.get(metadata.uid) ?? 0]).toEqual([1, 0])
  expect(status).not.toHaveProperty('lastFailure')
  expect(await row(metadata.uid)).toMatchObject({ status: 'online' })
})
