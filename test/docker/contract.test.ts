import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe } from 'vitest'
import { DockerBackend } from '../../src/backends/docker/backend.ts'
import { buildNodeImage } from '../../src/dev/agent-image.ts'
import { backendContract, never, type Target } from '../contract/backend.contract.ts'
import { docker, engineAnswers, host } from './engine.ts'

const program = readFileSync(join(import.meta.dirname, '../contract/probe.mjs'), 'utf8')

describe.skipIf(!engineAnswers)('with an engine', () => {
  backendContract('docker', async (): Promise<Target> => {
    const image = await buildNodeImage({ docker, name: 'molecule-probe', program })
    const run = randomUUID()
    const open = (operatorInstance: string) => new DockerBackend({ host, operatorInstance })
    const [mine, another] = [open(`mine-${run}`), open(`another-${run}`)]
    return {
      backend: mine,
      reopen: () => open(`mine-${run}`),
      foreign: () => another,
      image,
      kill: async (uid) => {
        // The engine answers once the container is dead: how long it takes for that is its own matter.
        await docker.getContainer(`ws-${uid}`).kill()
        return performance.now()
      },
      things: async (uid) => {
        const containers = await docker.listContainers({ all: true, filters: { name: [uid] } })
        const { Volumes } = await docker.listVolumes({ filters: { name: [uid] } })
        return [...containers.map(({ Id }) => `container ${Id}`), ...Volumes.map(({ Name }) => Name).sort()]
      },
      close: async () => {
        await mine.removeNetwork(never)
        await another.removeNetwork(never)
      },
    }
  })
})
