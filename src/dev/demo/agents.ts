/** Where the demo's agents run: in containers where a Docker engine answers, else as processes. */
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import Docker from 'dockerode'
import { z } from 'zod'
import type { InstanceRef } from '../../backends/backend.ts'
import { ProcessBackend } from '../../backends/process/backend.ts'
import { reasonOf } from '../../errors.ts'
import { buildAgentImage } from '../agent-image.ts'
import { withProgress, type Report } from '../progress.ts'

export interface Agents {
  readonly kind: 'docker' | 'process'
  /** Id of the Docker engine; undefined for processes. */
  readonly engine: string | undefined
  /** For the Runtime; a process has no use for it. */
  readonly image: string
  /** Settings of the operator. */
  readonly settings: Readonly<Record<string, string>>
  /** Takes away what was made for all of them; what belongs to one is the operator's. */
  cleanUp(): Promise<void>
}

/** How long what was left may take to go. */
const removal = 30_000

const program = join(import.meta.dirname, '..', '..', '..', 'examples', 'agent', 'agent.mjs')

/** Says which. `stateDir` is for the folders of processes, `port` where agents will reach the operator. */
export async function prepareAgents(stateDir: string, port: number, report: Report): Promise<Agents> {
  const docker = new Docker()
  const engine = await engineId().catch(() => undefined)
  if (engine === undefined) {
    report('agents: processes (no Docker engine answers)')
    return asProcesses(stateDir, port)
  }
  try {
    const image = await withProgress(report, 'packing the agent as an image', buildAgentImage({ docker }))
    report(`agents: containers of ${image}`)
    return asContainers(docker, engine, image, port)
  } catch (error) {
    report(`agents: processes (${reasonOf(error)})`)
    return asProcesses(stateDir, port)
  }
}

function asProcesses(stateDir: string, port: number): Agents {
  return {
    kind: 'process',
    engine: undefined,
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

function asContainers(docker: Docker, engine: string, image: string, port: number): Agents {
  return {
    kind: 'docker',
    engine,
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

/** Of the engine that DOCKER_HOST names, or the one of this machine. Throws where none answers. */
async function engineId(): Promise<string> {
  const { ID: id } = z.object({ ID: z.string() }).parse(await new Docker({ timeout: 5_000 }).info())
  return id
}

/**
 * An operator that was killed leaves its agents running, as it should; nobody comes back for these. Ends the processes
 * below `stateDir` and removes the containers, volumes and networks of this operator instance from the engine they are
 * on; gives how many agents. Throws where anything of it stays, or may.
 */
export async function removeAgents(
  stateDir: string,
  operatorInstance: string,
  engine: string | undefined,
): Promise<number> {
  const processes = await stopProcesses(stateDir, operatorInstance)
  return engine === undefined ? processes : processes + (await removeLabelled(operatorInstance, engine))
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

async function removeLabelled(operatorInstance: string, engine: string): Promise<number> {
  const answering = await engineId().catch((cause: unknown) => {
    throw new Error('the Docker engine that they are on does not answer', { cause })
  })
  if (answering !== engine) throw new Error('another Docker engine answers than the one that they are on')
  const docker = new Docker()
  const filters = { label: [`molecule.dev/operator=${operatorInstance}`] }
  let removed = 0
  for (const deadline = performance.now() + removal; ; await wait(200)) {
    const containers = await docker.listContainers({ all: true, filters })
    const { Volumes: volumes } = await docker.listVolumes({ filters })
    const networks = await docker.listNetworks({ filters })
    removed = Math.max(removed, containers.length)
    const left = containers.length + volumes.length + networks.length
    if (left === 0) return removed
    if (performance.now() > deadline)
      throw new Error(`${String(left)} containers, volumes and networks of the Docker engine do not go`)
    const parts: Removable[] = containers.map(({ Id }) => docker.getContainer(Id))
    await Promise.all(parts.map((one) => one.remove({ force: true, v: true }).catch(unlessGone)))
    const rest: Removable[] = [
      ...volumes.map(({ Name }) => docker.getVolume(Name)),
      ...networks.map(({ Id }) => docker.getNetwork(Id)),
    ]
    await Promise.all(rest.map((one) => one.remove().catch(unlessGone)))
  }
}

interface Removable {
  remove(options?: object): Promise<unknown>
}

/** Gone, going by somebody else's hand, or in use by what is still going: the next look says which. */
function unlessGone(error: unknown): void {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined
  if (status !== 404 && status !== 409 && status !== 403) throw error
}
