/** An image that takes its time to come: waited for, and not counted as a launch that failed. */
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { until } from '../support/until.ts'
import { openScene } from '../incidents/scene.ts'

const image = 'test/slow:1'
const scene = await openScene({ image })
const { backend, make, row } = scene

test('a slow pull is one launch tried and one that works, soon after the image is there', async () => {
  backend.setImage(image, 'slow')
  await make('patient')
  const { uid } = (await scene.settles('patient', 'Launched', 'False Starting')).metadata
  // A second launch would come after five seconds.
  await wait(7_000)
  expect(await row(uid)).toMatchObject({ launch_attempts: 1, restarts: 0 })
  expect(backend.pulls.get(image)).toBe(1)
  backend.setImage(image, 'there')
  await until(() => backend.creates.get(uid) === 1, { what: 'the instance' })
  await scene.settles('patient', 'Ready', 'True Settled')
})
