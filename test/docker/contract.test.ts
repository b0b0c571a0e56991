import { randomUUID } from 'node:crypto'
import { describe } from 'vitest'
import { DockerBackend } from '../../src/backends/docker/backend.ts'
import { buildNodeImage } from '../../src/dev/agent-image.ts'
import { adoptionContract, type TargetWithStrangers } from '../contract/adoption.contract.ts'
import { backendContract, never } from '../contract/backend.contract.ts'
import { docker, engineAnswers, host } from './engine.ts'
import { probe } from './scene.ts'

describe.skipIf(!engineAnswers)('with an engine', () => {
  const target = async (): Promise<TargetWithStrangers> => {
    const image = await buildNodeImage({ docker, name: 'molecule-probe', program: probe })
    const run = randomUUID()
    const open = (operatorInstance: string) => new DockerBackend({ host, operatorInstance })
    const [mine, another] = [open(`mine-${run}`), open(`another-${run}`)]
    return {
      backend: mine,
      reopen: () => open(`mine-${run}`),
      foreign: () => another,
      image,
      missingImage: 'no-such-image:1',
      stranger: async () => {
        // As the system before made them: its label, its names, and an engine that restarts.
        const container = await docker.createContainer({
          name: `ws-${randomUUID().slice(0, 12)}`,
          Image: image,
          Entrypoint: ['/usr/bin/node', '-e', 'setInterval(() => {}, 1 << 30)'],
          Cmd: [],
          Labels: { 'molecule.platform.managed': 'true' },
          HostConfig: { RestartPolicy: { Name: 'unless-stopped' } },
        })
        await container.start()
        return { id: container.id, end: () => container.remove({ force: true }).catch(() => undefined) }
      },
      kill: async (uid) => {
        // The engine answers once the container is dead: how long it takes for that is its own matter.
        const [found] = await docker.listContainers({ filters: { name: [uid] } })
        await docker.getContainer(found?.Id ?? '').kill()
        return performance.now()
      },
      things: async (uid) => {
        const containers = await docker.listContainers({ all: true, filters: { name: [uid] } })
        const { Volumes } = await docker.listVolumes({ filters: { name: [uid] } })
        return [...containers.map(({ Id }) => `container ${Id}`), ...Volumes.map(({ Name }) => Name).sort()]
      },
      close: async () => {
        await mine.removeNetworks(never)
        await another.removeNetworks(never)
      },
    }
  }
  backendContract('docker', target)
  adoptionContract('docker', target)
})
