/** The most telling lines of `npm run faults`, on processes: the operator is killed and the end is the same. */
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Failpoint } from '../../src/failpoint.ts'
import { controlPlane, operatorKubeconfig } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'
import { runtime } from '../support/workspaces.ts'
import type { ActName } from './acts.ts'
import { ProcessInstances } from './process-instances.ts'
import { killAt, undisturbed, type Undisturbed } from './sweep.ts'
import { World } from './world.ts'

const cases: readonly { point: Failpoint; act: ActName; databaseUrl: string }[] = [
  { point: 'launching', act: 'create', databaseUrl: await database() },
  { point: 'ensured', act: 'replace', databaseUrl: await database() },
  { point: 'removed', act: 'replace', databaseUrl: await database() },
  { point: 'rested', act: 'pause', databaseUrl: await database() },
  { point: 'cascaded', act: 'cascade', databaseUrl: await database() },
  { point: 'erased', act: 'remove', databaseUrl: await database() },
]
const cluster = controlPlane()
const dir = join(tmpdir(), `molecule-faults-test-${randomBytes(4).toString('hex')}`)
const reference = await database()
let expected: Undisturbed

async function inWorld<T>(databaseUrl: string, play: (world: World) => Promise<T>): Promise<T> {
  const place = { cluster, kubeconfig: await operatorKubeconfig() }
  const makeInstances = () => new ProcessInstances(join(dir, randomBytes(4).toString('hex')))
  const world = await World.open(place, databaseUrl, makeInstances)
  try {
    return await play(world)
  } finally {
    await world.close()
  }
}

beforeAll(async () => {
  await until(() => cluster.apply([runtime('faults-agent', { default: true })]))
  const wanted = new Set(cases.map(({ act }) => act))
  expected = await inWorld(reference, (world) => undisturbed(world, wanted))
})

afterAll(async () => {
  const unlock = ['patch', 'runtime', 'faults-agent', '--type=merge', '-p', '{"metadata":{"finalizers":null}}']
  await cluster.kubectl(['delete', 'runtime', 'faults-agent', '--wait=false'])
  await cluster.kubectl(unlock).catch(() => undefined)
  await rm(dir, { recursive: true, force: true })
})

test.each(cases)('killed at $point in the act "$act"', { timeout: 90_000 }, async ({ databaseUrl, point, act }) => {
  const line = await inWorld(databaseUrl, (world) => killAt(world, { point, act }, expected))
  expect(line, line.said).toMatchObject({ end: 'as undisturbed', duplicates: 0 })
  expect(line.creates?.counted).toBe(line.creates?.undisturbed)
})
