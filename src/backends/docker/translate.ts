/** InstanceSpec → what the Docker engine is asked for. Pure. */
import { createHash } from 'node:crypto'
import type { ContainerCreateOptions, MountSettings } from 'dockerode'
import type { InstanceSpec } from '../backend.ts'
import { checkedEnv, deliveredFiles, instanceName } from '../names.ts'
import { sessionsVolume, type Heirlooms } from './heirloom.ts'
import { label, marks } from './ownership.ts'
import type { TarEntry } from './tar.ts'

/** Agents run as this user and group, whatever their image says: it owns `/configs`, and no capability lets it be root. */
export const agentUser = 1000
export const agentPort = 8000
const configs = '/configs'
export const workspace = '/workspace'

/** By which an agent finds a platform that runs on the machine of the engine. */
export const hostAlias = 'host.docker.internal:host-gateway'

/**
 * Where clouds give credentials to whoever asks: those of the machine, of a task, of a Pod. Each container has these
 * addresses itself, so that what is sent there never leaves it. It takes no rule on the host and no further call; and
 * an agent has no capability with which to give them up. On the host's own network nothing can be done.
 */
export const metadataAddresses: readonly string[] = ['169.254.169.254', '169.254.170.2', '169.254.170.23']

/** Where a container is made: whose it is, the id of its network, the engine's socket on its host, and the CPUs of that host, where known. */
export interface Place {
  readonly operator: string
  readonly network: string
  readonly socket: string
  readonly cpus: number
  /** Whether the storage driver can bound the writable layer of a container. */
  readonly boundsLayers?: boolean
}

/** The whole body of the create call. Throws `Terminal` on what cannot be passed on. */
export function createBody(spec: InstanceSpec, place: Place, heirlooms: Heirlooms = {}): ContainerCreateOptions {
  const name = instanceName(spec.ref.uid)
  const { limits } = spec
  const may = new Set(limits.hostAccess)
  const onHost = may.has('HostNetwork')
  const sessions = sessionsOf(spec)
  const port = onHost ? hostPort(spec.ref.uid) : agentPort
  const own = {
    WORKSPACE_CONFIG_PATH: configs,
    HOST: onHost ? '127.0.0.1' : '0.0.0.0',
    PORT: String(port),
    ...(sessions !== undefined && { SESSIONS_DIR: sessions }),
    MOLECULE_WORKSPACE_URL: `http://${onHost ? '127.0.0.1' : name}:${port}`,
  }
  const env = { ...checkedEnv(spec.env), ...own }
  return {
    Hostname: name,
    Image: spec.image,
    User: `${agentUser}:${agentUser}`,
    Env: Object.entries(env).map(([key, value]) => `${key}=${value}`),
    Labels: {
      ...marks(place.operator, spec.ref),
      [label.specHash]: spec.specHash,
      ...(onHost ? {} : { [label.network]: place.network }),
    },
    ...(onHost ? {} : { ExposedPorts: { [`${agentPort}/tcp`]: {} } }),
    HostConfig: {
      Mounts: mountsOf(spec, place, heirlooms),
      NetworkMode: onHost ? 'host' : place.network,
      ...(onHost ? {} : { PortBindings: { [`${agentPort}/tcp`]: [{ HostIp: '127.0.0.1', HostPort: '' }] } }),
      ...(may.has('HostPID') ? { PidMode: 'host' } : {}),
      ExtraHosts: [hostAlias],
      Memory: limits.memoryBytes,
      MemorySwap: limits.memoryBytes,
      // More than there are is refused, though it would be no limit.
      NanoCpus: Math.round(Math.min(limits.cpus, place.cpus) * 1e9),
      PidsLimit: limits.pids,
      ...(place.boundsLayers === true &&
        limits.diskBytes !== undefined && { StorageOpt: { size: String(limits.diskBytes) } }),
      ReadonlyRootfs: limits.readOnlyRoot,
      ...(limits.readOnlyRoot ? { Tmpfs: { '/tmp': 'rw,noexec,nosuid,nodev,size=64m' } } : {}),
      ...(may.has('Privileged') ? { Privileged: true } : { CapDrop: ['ALL'], SecurityOpt: ['no-new-privileges:true'] }),
      // The operator restarts: a policy of the engine's would race it and hide the exit.
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } },
    },
    ...(onHost ? {} : { NetworkingConfig: { EndpointsConfig: { [place.network]: endpoint(name) } } }),
  }
}

const endpoint = (name: string) => ({ Aliases: [name], IPAMConfig: { LinkLocalIPs: [...metadataAddresses] } })

/** On the host's network everybody shares the ports: each uid has one of its own, with luck; a clash ends the agent. */
const hostPort = (uid: string): number => 20_000 + (createHash('sha256').update(uid).digest().readUInt32BE() % 12_000)

/** A volume begins as root's, and nothing could give one to the agent's user where the root cannot be written to. */
const sessionsOf = ({ sessionsPath, limits }: InstanceSpec): string | undefined =>
  limits.readOnlyRoot ? undefined : sessionsPath

function mountsOf(spec: InstanceSpec, { operator, socket }: Place, heirlooms: Heirlooms): MountSettings[] {
  const { ref, limits, hostFolder } = spec
  const sessions = sessionsOf(spec)
  const Labels = marks(operator, ref)
  const volume = (Source: string, Target: string): MountSettings => ({
    Type: 'volume',
    Source,
    Target,
    VolumeOptions: { NoCopy: false, Labels, DriverConfig: { Name: 'local', Options: {} } },
  })
  // Private: what is mounted on either side later on stays there.
  const bind = (Source: string, Target: string, ReadOnly: boolean): MountSettings => ({
    Type: 'bind',
    Source,
    Target,
    ReadOnly,
    BindOptions: { Propagation: 'rprivate' },
  })
  const name = instanceName(ref.uid)
  const { [configs]: config = `${name}-configs`, [workspace]: work = `${name}-workspace`, ...others } = heirlooms
  const mounts = [volume(config, configs)]
  if (hostFolder !== undefined) mounts.push(bind(hostFolder.path, workspace, hostFolder.access === 'read_only'))
  else if (!limits.readOnlyRoot) mounts.push(volume(work, workspace))
  if (sessions !== undefined && others[sessions] === undefined)
    mounts.push(volume(sessionsVolume(ref.uid, sessions, heirlooms), sessions))
  for (const [target, source] of Object.entries(others)) mounts.push(volume(source, target))
  if (limits.hostAccess.includes('EngineSocket')) mounts.push(bind(socket, '/var/run/docker.sock', false))
  return mounts
}

const folderOf = (path: string): TarEntry => ({ path, mode: 0o755, owner: agentUser })

/**
 * Files and credentials as an archive, and where to unpack it. The root can be written to only where it is not read-only;
 * there the archive also gives the workspace folder and that of sessions to the agent's user.
 */
export function archiveOf(spec: InstanceSpec): { path: string; entries: TarEntry[] } {
  const files = deliveredFiles(spec)
  const inRoot = !spec.limits.readOnlyRoot
  const base = inRoot ? 'configs/' : './'
  const folders = new Set([base])
  // A folder of the host stays as it is.
  if (inRoot && spec.hostFolder === undefined) folders.add('workspace/')
  const sessions = sessionsOf(spec)
  if (sessions !== undefined) folders.add(`${sessions.slice(1)}/`)
  for (const { path } of files)
    for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1))
      folders.add(base + path.slice(0, slash + 1))
  const directories = [...folders].map(folderOf)
  const regular = files.map(({ path, content, mode = 0o644 }) => ({
    path: base + path,
    content,
    mode,
    owner: agentUser,
  }))
  return { path: inRoot ? '/' : configs, entries: [...directories, ...regular] }
}
