/** Where the demo's agents run: in containers where a Docker engine answers, else as processes. */
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import Docker from 'dockerode'
import type { InstanceRef } from '../../backends/backend.ts'
import { ProcessBackend } from '../../backends/process/backend.ts'
import { reasonOf } from '../../errors.ts'
import { buildAgentImage } from '../agent-image.ts'
import { withProgress, type Report } from '../progress.ts'

export interface Agents {
  readonly kind: 'docker' | 'process'
  /** For the Runtime; a process has no use for it. */
  readonly image: string
  /** Settings of the operator. */
  readonly settings: Readonly<Record<string, string>>
  /** Takes away what was made for all of them; what belongs to one is the operator's. */
  cleanUp(): Promise<void>
}

const program = join(import.meta.dirname, '..', '..', '..', 'examples', 'agent', 'agent.mjs')

/** Says which. `stateDir` is for the folders of processes, `port` where agents will reach the operator. */
export async function prepareAgents(stateDir: string, port: number, report: Report): Promise<Agents> {
  const docker = new Docker()
  const answered = await new Docker({ timeout: 5_000 }).ping().then(
    () => undefined,
    (error: unknown) => reasonOf(error),
  )
  if (answered !== undefined) {
    report('agents: processes (no Docker engine answers)')
    return asProcesses(stateDir, port)
  }
  try {
    const image = await withProgress(report, 'packing the agent as an image', buildAgentImage({ docker }))
    report(`agents: containers of ${image}`)
    return asContainers(docker, image, port)
  } catch (error) {
    report(`agents: processes (${reasonOf(error)})`)
    return asProcesses(stateDir, port)
  }
}

function asProcesses(stateDir: string, port: number): Agents {
  return {
    kind: 'process',
    image: 'examples/agent',
    settings: {
      BACKENDS: 'process,external',
      PROCESS_STATE_DIR: stateDir,
      PROCESS_COMMAND: JSON.stringify([process.execPath, program]),
      PLATFORM_HOST: '127.0.0.1',
      PLATFORM_URL: `http://127.0.0.1:${String(port)}`,
    },
    cleanUp: () => Promise.resolve(),
  }
}

function asContainers(docker: Docker, image: string, port: number): Agents {
  return {
    kind: 'docker',
    image,
    settings: {
      BACKENDS: 'docker,external',
      // Containers come in by the bridge, not by loopback.
      PLATFORM_HOST: '0.0.0.0',
      PLATFORM_URL: `http://host.docker.internal:${String(port)}`,
    },
    // Another demo may be running on it, and then keeps it.
    cleanUp: () =>
      docker
        .getImage(image)
        .remove()
        .then(
          () => undefined,
          () => undefined,
        ),
  }
}

/**
 * An operator that was killed leaves its agents running, as it should; nobody comes back for these. Ends the processes
 * below `stateDir` and removes the containers, volumes and networks of this operator instance; gives how many agents.
 */
export async function removeAgents(stateDir: string, operatorInstance: string): Promise<number> {
  return (await stopProcesses(stateDir, operatorInstance)) + (await removeLabelled(operatorInstance))
}

async function stopProcesses(stateDir: string, operatorInstance: string): Promise<number> {
  const backend = new ProcessBackend({ stateDir, command: [process.execPath, program], operatorInstance })
  const refs = []
  for await (const { ref } of backend.owned()) refs.push(ref)
  const stop = async (ref: InstanceRef) => {
    while ((await backend.remove(ref, 'delete')) !== 'gone') await wait(100)
  }
  await Promise.all(refs.map(stop))
  return refs.length
}

async function removeLabelled(operatorInstance: string): Promise<number> {
  const docker = new Docker()
  const filters = { label: [`molecule.dev/operator=${operatorInstance}`] }
  // An engine that does not answer holds nothing that could be removed now.
  const containers = await docker.listContainers({ all: true, filters }).catch(() => undefined)
  if (containers === undefined) return 0
  await Promise.all(
    containers.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true }).catch(unlessGone)),
  )
  const { Volumes: volumes } = await docker.listVolumes({ filters })
  await Promise.all(volumes.map(({ Name }) => docker.getVolume(Name).remove().catch(unlessGone)))
  const networks = await docker.listNetworks({ filters })
  await Promise.all(networks.map(({ Id }) => docker.getNetwork(Id).remove().catch(unlessGone)))
  return containers.length
}

/** Gone, or going by somebody else's hand. */
function unlessGone(error: unknown): void {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined
  if (status !== 404 && status !== 409) throw error
}
