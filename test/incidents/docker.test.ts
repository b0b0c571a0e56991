/** Incidents that an engine has a part in: respawned containers, a sibling's containers, images that nobody wrote down. */
import { randomBytes } from 'node:crypto'
import Dockerode from 'dockerode'
import { afterAll, describe, expect, test } from 'vitest'
import { DockerBackend } from '../../src/backends/docker/backend.ts'
import { label } from '../../src/backends/docker/ownership.ts'
import { buildAgentImage } from '../../src/dev/agent-image.ts'
import { freePort } from '../../src/dev/server-process.ts'
import { dockerAvailable } from '../support/docker.ts'
import { until } from '../support/until.ts'
import { openScene } from './scene.ts'

const docker = new Dockerode()
const operatorInstance = `incidents-${randomBytes(4).toString('hex')}`
const available = await dockerAvailable()
const image = available ? await buildAgentImage({ docker, name: `molecule-${operatorInstance}` }) : ''
const backend = new DockerBackend({ operatorInstance })
const port = String(await freePort())
const scene = await openScene({
  env: { PLATFORM_HOST: '0.0.0.0', PLATFORM_PORT: port, PLATFORM_URL: `http://host.docker.internal:${port}` },
  more: [backend],
  image,
})
const { make, settles, row } = scene

const containersOf = (uid: string) =>
  docker.listContainers({
    all: true,
    filters: { label: [`${label.uid}=${uid}`, `${label.operator}=${operatorInstance}`] },
  })

afterAll(async () => {
  if (!available) return
  // It would start anew what is taken away.
  await scene.operator().stop()
  const filters = { label: [`${label.operator}=${operatorInstance}`] }
  const gone = () => undefined
  await until(
    async () => {
      const containers = await docker.listContainers({ all: true, filters })
      for (const { Id } of containers) await docker.getContainer(Id).remove({ force: true }).catch(gone)
      const { Volumes } = await docker.listVolumes({ filters })
      for (const { Name } of Volumes) await docker.getVolume(Name).remove().catch(gone)
      return containers.length + Volumes.length === 0
    },
    { what: 'containers and volumes to be gone', within: 60_000 },
  )
  await backend.removeNetworks(AbortSignal.timeout(60_000))
  await until(() => docker.getImage(image).remove(), { what: 'the image to be of use to nobody' })
})

describe.skipIf(!available)('on a Docker engine', () => {
  test('incident-32: what was killed or removed is not respawned by the engine, and never there twice', async () => {
    await make('zombie', { backend: 'docker' })
    const { uid } = (await settles('zombie', 'Ready', 'True Settled')).metadata
    const [first] = await containersOf(uid)
    const { HostConfig } = await docker.getContainer(first?.Id ?? '').inspect()
    expect(['', 'no']).toContain(HostConfig.RestartPolicy?.Name)
    await docker.getContainer(first?.Id ?? '').kill()
    await until(
      async () => {
        const now = await containersOf(uid)
        expect(now.length).toBeLessThanOrEqual(1)
        return now[0]?.State === 'running' && now[0].Id !== first?.Id
      },
      { what: 'another container', within: 45_000 },
    )
    await settles('zombie', 'Ready', 'True Settled')
    await scene.edit('zombie', { spec: { power: 'Paused' } })
    await settles('zombie', 'Ready', 'True Paused')
    expect(await containersOf(uid)).toEqual([])
  })

  test('incident-33: containers of another operator are left alone, whatever else they carry', async () => {
    await make('sibling', { backend: 'docker' })
    const { uid } = (await settles('sibling', 'Ready', 'True Settled')).metadata
    const theirs = await docker.createContainer({
      Image: image,
      Labels: { [label.operator]: 'another', [label.uid]: uid, [label.namespace]: scene.ns, [label.name]: 'sibling' },
    })
    try {
      await scene.remove('sibling')
      await scene.gone('sibling')
      expect(await containersOf(uid)).toEqual([])
      expect((await theirs.inspect()).State.Status).toBe('created')
    } finally {
      await theirs.remove({ force: true })
    }
  })

  test('incident-39: the image that runs is written in the row', async () => {
    await make('pinned', { backend: 'docker' })
    const { uid } = (await settles('pinned', 'Ready', 'True Settled')).metadata
    const [container] = await containersOf(uid)
    const digest = (await row(uid))?.['runtime_image_digest']
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect([container?.ImageID]).toContain(digest)
    expect((await scene.get('pinned')).status?.image?.digest).toBe(digest)
  })
})
