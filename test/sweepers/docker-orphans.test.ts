/** The orphan collector beside a real Docker engine, which many others use at the same time. */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { InstanceRef } from '../../src/backends/backend.ts'
import { DockerBackend } from '../../src/backends/docker/backend.ts'
import { buildNodeImage } from '../../src/dev/agent-image.ts'
import { milliseconds } from '../../src/duration.ts'
import { orphanSweeper } from '../../src/sweepers/orphans/sweeper.ts'
import { never, specOf } from '../contract/spec.ts'
import { docker, engineAnswers, host } from '../docker/engine.ts'
import { fenceOf, given, intent, lease } from '../store/given.ts'
import { database } from '../support/database.ts'
import { until } from '../support/until.ts'

/** Milliseconds, on an engine that many others keep busy. */
const long = 420_000

const program = readFileSync(join(import.meta.dirname, '../contract/probe.mjs'), 'utf8')

describe.skipIf(!engineAnswers)('with an engine', async () => {
  const { store, sql, metrics } = given(await database())
  const fence = fenceOf(await store.leaders.begin(lease, 'me'))
  const run = randomUUID()
  const open = (operatorInstance: string) => new DockerBackend({ host, operatorInstance })
  const [mine, theirs] = [open(`mine-${run}`), open(`theirs-${run}`)]
  const there = new Set<string>()
  const made: { backend: DockerBackend; ref: InstanceRef }[] = []
  let image = ''
  let unlabelled = ''

  beforeAll(async () => {
    image = await buildNodeImage({ docker, name: 'molecule-probe', program })
    const body = { Image: image, name: `ws-${randomUUID()}`, Cmd: ['node', '--version'] }
    unlabelled = (await docker.createContainer(body)).id
  }, long)
  afterAll(async () => {
    await Promise.all(made.map(({ backend, ref }) => backend.remove(ref, 'delete', never)))
    await mine.removeNetworks(never)
    await theirs.removeNetworks(never)
    if (unlabelled !== '') await docker.getContainer(unlabelled).remove({ force: true })
  }, long)

  /** A container with its volumes, and (of mine) the row of its Workspace. */
  async function make(backend: DockerBackend, deletionPolicy: 'Delete' | 'Retain' = 'Delete') {
    const wanted = intent({ backend: 'docker', deletionPolicy })
    const ref = { uid: wanted.ownerUid, namespace: wanted.namespace, name: wanted.resourceName }
    if (backend === mine) await store.workspaces.record(wanted, fence)
    await backend.ensure({ ...specOf(image, ref.uid), ref }, never)
    made.push({ backend, ref })
    there.add(ref.uid)
    return { wanted, ref }
  }

  async function things(uid: string): Promise<{ containers: number; volumes: number }> {
    const containers = await docker.listContainers({ all: true, filters: { name: [uid] } })
    const { Volumes } = await docker.listVolumes({ filters: { name: [uid] } })
    return { containers: containers.length, volumes: Volumes.length }
  }

  test(
    'containers and volumes without a Workspace go; what is retained, another’s or unlabelled stays',
    async () => {
      const [living, forced, removed, bare, retained] = [
        await make(mine),
        await make(mine),
        await make(mine),
        await make(mine),
        await make(mine, 'Retain'),
      ]
      const foreign = await make(theirs)
      await store.workspaces.remove(removed.wanted, fence)
      await store.workspaces.remove(retained.wanted, fence)
      // Volumes without a container: the removal broke off half-way.
      await store.workspaces.remove(bare.wanted, fence)
      expect(await mine.remove(bare.ref, 'keep', never)).toBe('gone')
      for (const { ref } of [forced, removed, bare, retained, foreign]) there.delete(ref.uid)

      const abort = new AbortController()
      const ended = orphanSweeper({
        resources: {
          trouble: () => undefined,
          size: () => there.size,
          uids: () => [...there],
          has: ({ uid }) => there.has(uid),
          exists: async ({ uid }) => there.has(uid),
        },
        rows: store.workspaces,
        store: store.orphans,
        backends: new Map([['docker', mine]]),
        fence,
        event: () => undefined,
        mode: 'remove',
        onGone: () => undefined,
        grace: milliseconds(400),
        share: 0.2,
        log: pino({ level: 'silent' }),
        metrics,
      }).start(abort.signal)
      const gone = { containers: 0, volumes: 0 }
      for (const { ref } of [forced, removed, bare])
        await until(
          async () => {
            expect(await things(ref.uid)).toEqual(gone)
            return true
          },
          { within: 90_000 },
        )
      abort.abort()
      await ended

      const whole = { containers: 1, volumes: 2 }
      for (const { ref } of [living, retained, foreign]) expect(await things(ref.uid)).toEqual(whole)
      expect((await docker.getContainer(unlabelled).inspect()).Id).toBe(unlabelled)
      const rows = await sql('SELECT status::text AS status FROM workspaces WHERE id = $1', forced.wanted.id)
      expect(rows).toEqual([{ status: 'removed' }])
    },
    long,
  )
})
