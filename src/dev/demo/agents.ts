/** Where the demo's agents run: in containers where a Docker engine answers, else as processes. */
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import Docker from 'dockerode'
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
  /** Takes away what is left of an operator's containers, volumes and networks, and the image. */
  cleanUp(operatorInstance: string): Promise<void>
}

const program = join(import.meta.dirname, '..', '..', '..', 'examples', 'agent', 'agent.mjs')

/** Says which. `dir` is for the folders of processes, `port` where agents will reach the operator. */
export async function prepareAgents(dir: string, port: number, report: Report): Promise<Agents> {
  const docker = new Docker()
  const answered = await new Docker({ timeout: 5_000 }).ping().then(
    () => undefined,
    (error: unknown) => reasonOf(error),
  )
  if (answered !== undefined) {
    report('agents: processes (no Docker engine answers)')
    return asProcesses(dir, port)
  }
  try {
    const image = await withProgress(report, 'packing the agent as an image', buildAgentImage({ docker }))
    report(`agents: containers of ${image}`)
    return asContainers(docker, image, port)
  } catch (error) {
    report(`agents: processes (${reasonOf(error)})`)
    return asProcesses(dir, port)
  }
}

function asProcesses(dir: string, port: number): Agents {
  const stateDir = join(dir, 'agents')
  const command = [process.execPath, program]
  return {
    kind: 'process',
    image: 'examples/agent',
    settings: {
      BACKENDS: 'process,external',
      PROCESS_STATE_DIR: stateDir,
      PROCESS_COMMAND: JSON.stringify(command),
      PLATFORM_HOST: '127.0.0.1',
      PLATFORM_URL: `http://127.0.0.1:${String(port)}`,
    },
    cleanUp: (operatorInstance) => stopProcesses(stateDir, command, operatorInstance),
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
    cleanUp: (operatorInstance) => removeLabelled(docker, operatorInstance, image),
  }
}

/** An operator that was killed leaves its agents running, as it should; nobody comes back for these. */
async function stopProcesses(stateDir: string, command: readonly string[], operatorInstance: string): Promise<void> {
  const backend = new ProcessBackend({ stateDir, command, operatorInstance })
  for await (const { ref } of backend.owned()) while ((await backend.remove(ref, 'delete')) !== 'gone') await wait(100)
}

async function removeLabelled(docker: Docker, operatorInstance: string, image: string): Promise<void> {
  const filters = { label: [`molecule.dev/operator=${operatorInstance}`] }
  for (const { Id } of await docker.listContainers({ all: true, filters }))
    await docker.getContainer(Id).remove({ force: true, v: true })
  for (const { Name } of (await docker.listVolumes({ filters })).Volumes) await docker.getVolume(Name).remove()
  for (const { Id } of await docker.listNetworks({ filters })) await docker.getNetwork(Id).remove()
  // Another demo may be running on it, and then keeps it.
  await docker
    .getImage(image)
    .remove()
    .catch(() => {})
}
