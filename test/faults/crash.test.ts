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
import { removeRuntimes, runtime } from '../support/workspaces.ts'
import { passOn } from './act-changes.ts'
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
const passedOn = await database()
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
  const wanted = new Set<ActName>([...cases.map(({ act }) => act), 'approve'])
  expected = await inWorld(reference, (world) => undisturbed(world, wanted))
}, 400_000)

afterAll(async () => {
  await removeRuntimes(cluster, 'faults-agent')
  await rm(dir, { recursive: true, force: true, maxRetries: 5 })
})

test.each(cases)('killed at $point in the act "$act"', { timeout: 300_000 }, async ({ databaseUrl, ...kill }) => {
  const line = await inWorld(databaseUrl, (world) => killAt(world, kill, expected))
  expect(line, line.said).toMatchObject({ end: 'as undisturbed', duplicates: 0 })
  expect(line.creates?.counted).toBe(line.creates?.undisturbed)
})

test('frozen in the middle of a plan that a person approved, beside a second, and thawed', async () => {
  const change = { how: 'frozen', point: 'applied', nth: 3, act: 'approve' } as const
  const plane = { identity: cluster.identity.bind(cluster), dir }
  const { creates, doubled } = await inWorld(passedOn, async (world) => {
    const passed = await passOn(world, plane, change, expected)
    return { ...passed, doubled: [...world.doubled] }
  })
  expect(creates.counted).toBe(creates.undisturbed)
  expect(doubled).toEqual([])
}, 400_000)
