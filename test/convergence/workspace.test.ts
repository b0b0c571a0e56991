/**
 * Random walks of edits, accidents and clocks set wrong: whatever happened, what was asked for is reached, and then
 * nothing moves. The same two walks every time; CONVERGENCE_RUNS says how many, CONVERGENCE_SEED from which number (or
 * `random`), CONVERGENCE_PATH which one of them alone.
 */
import { randomBytes } from 'node:crypto'
import * as fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { controlPlane, namespace } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'
import { removeRuntimes, runtime } from '../support/workspaces.ts'
import { Player } from './play.ts'
import { fakeTarget } from './target.ts'
import { seedOf } from './seed.ts'
import { walks } from './walk.ts'

const cluster = controlPlane()
const ns = await namespace(cluster)
const name = `walk-${randomBytes(4).toString('hex')}`
await until(() => cluster.apply([runtime(name, { bootDeadline: '1m', maxUnavailable: 2 })]))
const target = fakeTarget()
const player = Player.open({
  namespace: ns,
  databaseUrl: await database(),
  runtime: name,
  target,
  quiet: 1_500,
  within: 90_000,
})

afterAll(async () => {
  await player.close()
  await removeRuntimes(cluster, name)
})

const numRuns = Number(process.env['CONVERGENCE_RUNS'] ?? 2)
const path = process.env['CONVERGENCE_PATH'] ?? ''
const seed = seedOf(1)

test(
  `${numRuns} walks from seed ${seed} come to rest as they were asked to`,
  { timeout: numRuns * 240_000 },
  async () => {
    console.info(`  convergence: CONVERGENCE_SEED=${seed} CONVERGENCE_RUNS=${numRuns}`)
    // A shorter walk that fails as well would cost minutes: the first one is told as it is.
    const property = fc.asyncProperty(walks(20, true), (steps) => player.play(steps))
    await fc.assert(property, { seed, numRuns, path, endOnFailure: true })
    expect(target.doubled.size).toBe(0)
  },
)
