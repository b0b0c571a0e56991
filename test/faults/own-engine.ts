/** A Docker engine of our own beside the machine's: one that may be stopped, because nobody else uses it. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import Dockerode from 'dockerode'
import { buildAgentImage } from '../../src/dev/agent-image.ts'
import { ServerProcess } from '../../src/dev/server-process.ts'
import { reasonOf } from '../../src/errors.ts'
import type { Engine } from './stage.ts'

export interface OwnEngine extends Engine {
  readonly server: ServerProcess
  /** This machine as the engine sees it; registries there may be without TLS. */
  readonly here: string
  /** The network namespace that it lives in. */
  readonly net: string
  [Symbol.asyncDispose](): Promise<void>
}

interface Impossible {
  readonly impossible: string
  [Symbol.asyncDispose](): Promise<void>
}

/** Addresses of one engine: lanes run side by side. */
interface Wire {
  /** This machine's end of the wire to the engine's network, the other end, and the networks behind it. */
  readonly here: string
  readonly there: string
  readonly networks: string
  /** The first two bytes of those networks. */
  readonly behind: string
}

const wireOf = (lane: number): Wire => {
  const behind = `10.${214 + lane}`
  return { here: `10.213.${77 + lane}.1`, there: `10.213.${77 + lane}.2`, networks: `${behind}.0.0/16`, behind }
}

const run = (command: string, ...args: string[]) => promisify(execFile)(command, args)
const ip = (...args: string[]) => run('ip', ...args)

/**
 * Starts dockerd with folders, a socket and a network namespace of its own: in the machine's it would take away `docker0`,
 * which is the other engine's. It makes no rules of iptables, and takes its containers with it when it stops: version
 * 20.10 with --live-restore gives the addresses of those that live on to new ones.
 */
export async function startEngine(lane = 0): Promise<OwnEngine | Impossible> {
  const wire = wireOf(lane)
  // The path of a Unix socket has room for about a hundred characters, the name of an interface for fifteen.
  const dir = await mkdtemp(join(tmpdir(), 'faults-engine-'))
  const net = `faults-${dir.slice(-6)}`
  const docker = new Dockerode({ socketPath: join(dir, 'sock') })
  const server = new ServerProcess({
    name: 'dockerd',
    command: 'nsenter',
    dir,
    args: [
      `--net=/run/netns/${net}`,
      'dockerd',
      `--host=unix://${join(dir, 'sock')}`,
      `--data-root=${join(dir, 'data')}`,
      `--exec-root=${join(dir, 'run')}`,
      `--pidfile=${join(dir, 'pid')}`,
      `--host-gateway-ip=${wire.here}`,
      `--insecure-registry=${wire.here}/32`,
      `--bip=${wire.behind}.255.1/24`,
      `--default-address-pool=base=${wire.behind}.0.0/17,size=24`,
      '--iptables=false',
      '--ip6tables=false',
    ],
    ready: async () => (await docker.ping()) !== undefined,
  })
  const stop = () => leave(server, dir, net)
  try {
    await lay(net, wire)
    await server.start()
    const image = await buildAgentImage({ docker, name: 'molecule-faults' })
    const host = `unix://${join(dir, 'sock')}`
    return { docker, host, image, server, here: wire.here, net, [Symbol.asyncDispose]: stop }
  } catch (error) {
    await stop()
    return { impossible: reasonOf(error), [Symbol.asyncDispose]: () => Promise.resolve() }
  }
}

/** A network namespace, and a wire from this machine to it by which containers reach the operator. */
async function lay(net: string, { here, there, networks }: Wire): Promise<void> {
  await ip('netns', 'add', net)
  await ip('link', 'add', net, 'type', 'veth', 'peer', 'name', 'out', 'netns', net)
  await ip('addr', 'add', `${here}/30`, 'dev', net)
  await ip('link', 'set', net, 'up')
  await ip('-n', net, 'addr', 'add', `${there}/30`, 'dev', 'out')
  for (const link of ['lo', 'out']) await ip('-n', net, 'link', 'set', link, 'up')
  await ip('-n', net, 'route', 'add', 'default', 'via', here)
  await ip('route', 'add', networks, 'via', there)
}

async function leave(server: ServerProcess, dir: string, net: string): Promise<void> {
  await server.stop()
  // A stop in order ends the containerd that it started, a crash does not.
  const pid = Number(await readFile(join(dir, 'run', 'containerd', 'containerd.pid'), 'utf8').catch(() => '0'))
  if (pid > 0) kill(pid)
  await ip('link', 'del', net).catch(() => undefined)
  await ip('netns', 'del', net).catch(() => undefined)
  // Whatever it has mounted for its containers and for itself, the last first.
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map((line) => line.split(' ')[4] ?? '')
  for (const path of mounts.filter((one) => one.startsWith(`${dir}/`)).toReversed()) await run('umount', path)
  await rm(dir, { recursive: true, force: true })
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It is gone, which is what was wanted.
  }
}
