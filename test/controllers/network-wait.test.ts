/** A launch that waits for a network says so, and goes on by itself once there is one. */
import { expect, test } from 'vitest'
import { milliseconds } from '../../src/duration.ts'
import { RetryAfter } from '../../src/errors.ts'
import { openScene } from '../incidents/scene.ts'

const scene = await openScene({ image: 'test/agent:1' })
const { backend, make, row } = scene

test('networks that are used up are the reason of a launch that waits, and no failure', async () => {
  const why = 'no subnet is free for another network in DOCKER_SUBNETS (10.201.0.0/16)'
  const free = backend.fail('ensure', new RetryAfter(milliseconds(200), why, { reason: 'NetworkPoolExhausted' }), 1000)
  await make('late')
  const waiting = await scene.settles('late', 'Launched', 'False NetworkPoolExhausted')
  const { uid } = waiting.metadata
  expect(waiting.status?.conditions?.find(({ type }) => type === 'Launched')?.message).toBe(why)
  expect(waiting.status?.conditions?.find(({ type }) => type === 'Stalled')).toBeUndefined()
  free()
  await scene.settles('late', 'Ready', 'True Settled')
  expect(await row(uid)).toMatchObject({ status: 'online', last_failure: null })
})
