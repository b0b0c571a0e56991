/** InstanceSpec ⇄ the words of the Docker engine. Pure. */
import { createHash } from 'node:crypto'
import type { ContainerCreateOptions, ContainerInspectInfo } from 'dockerode'
import type { InstanceId, InstanceRef, InstanceSpec, Observation } from '../backend.ts'
import { checkedEnv, checkedFiles, instanceName, tokenFile } from '../names.ts'
import type { TarEntry } from './tar.ts'

export const label = {
  operator: 'molecule.dev/operator',
  namespace: 'molecule.dev/namespace',
  name: 'molecule.dev/name',
  uid: 'molecule.dev/uid',
  specHash: 'molecule.dev/spec-hash',
} as const

/** Agents run as this user and group, whatever their image says: it owns `/configs`, and no capability lets it be root. */
const agentUser = 1000
const agentPort = '8000/tcp'
const configs = '/configs'
const workspace = '/workspace'

/** One network for each operator instance; hashed, because an instance's name may be of any length. */
export const networkName = (operator: string): string =>
  `molecule-${createHash('sha256').update(operator).digest('hex').slice(0, 12)}`

const marks = (operator: string, ref: InstanceRef) => ({
  [label.operator]: operator,
  [label.namespace]: ref.namespace,
  [label.name]: ref.name,
  [label.uid]: ref.uid,
})

/** The whole body of the create call. Throws `Terminal` on what cannot be passed on. */
export function createBody(spec: InstanceSpec, operator: string, network: string): ContainerCreateOptions {
  const name = instanceName(spec.ref.uid)
  const { limits } = spec
  const labels = marks(operator, spec.ref)
  const url = `http://${name}:8000`
  const place = { WORKSPACE_CONFIG_PATH: configs, HOST: '0.0.0.0', PORT: '8000', MOLECULE_WORKSPACE_URL: url }
  const env = { ...checkedEnv(spec.env), ...place }
  const DriverConfig = { Name: 'local', Options: {} }
  const volume = (suffix: string, target: string) =>
    ({
      Type: 'volume',
      Source: `${name}-${suffix}`,
      Target: target,
      VolumeOptions: { NoCopy: false, Labels: labels, DriverConfig },
    }) as const
  const mounts = [volume('configs', configs), ...(limits.readOnlyRoot ? [] : [volume('workspace', workspace)])]
  return {
    Hostname: name,
    Image: spec.image,
    User: `${agentUser}:${agentUser}`,
    Env: Object.entries(env).map(([key, value]) => `${key}=${value}`),
    Labels: { ...labels, [label.specHash]: spec.specHash },
    ExposedPorts: { [agentPort]: {} },
    HostConfig: {
      Mounts: mounts,
      NetworkMode: network,
      PortBindings: { [agentPort]: [{ HostIp: '127.0.0.1', HostPort: '' }] },
      ExtraHosts: ['host.docker.internal:host-gateway'],
      Memory: limits.memoryBytes,
      MemorySwap: limits.memoryBytes,
      NanoCpus: Math.round(limits.cpus * 1e9),
      PidsLimit: limits.pids,
      ReadonlyRootfs: limits.readOnlyRoot,
      ...(limits.readOnlyRoot ? { Tmpfs: { '/tmp': 'rw,noexec,nosuid,nodev,size=64m' } } : {}),
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges:true'],
      // The operator restarts: a policy of the engine's would race it and hide the exit.
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } },
    },
    NetworkingConfig: { EndpointsConfig: { [network]: { Aliases: [name] } } },
  }
}

/**
 * The last look at a body before it is sent: whoever changes `createBody` meets this fence before they meet the host.
 * Throws a TypeError that names what would break out.
 */
export function assertContained(body: ContainerCreateOptions): void {
  const host = body.HostConfig ?? {}
  const breaks = {
    Privileged: host.Privileged === true,
    Binds: (host.Binds ?? []).length > 0,
    Devices: (host.Devices ?? []).length > 0 || (host.DeviceRequests ?? []).length > 0,
    CapAdd: host.CapAdd !== undefined,
    CapDrop: host.CapDrop?.[0] !== 'ALL',
    VolumesFrom: (host.VolumesFrom ?? []).length > 0,
    Mounts: (host.Mounts ?? []).some(({ Type, Source }) => Type !== 'volume' || Source.includes('/')),
    NetworkMode: !host.NetworkMode || /^(host|container:|none$|bridge$|default$)/.test(host.NetworkMode),
    Namespaces: [host.PidMode, host.IpcMode, host.UsernsMode, host.UTSMode, host.CgroupParent].some(Boolean),
    SecurityOpt: host.SecurityOpt?.join() !== 'no-new-privileges:true',
    PortBindings: Object.values(host.PortBindings as Record<string, { HostIp: string }[]>)
      .flat()
      .some(({ HostIp }) => HostIp !== '127.0.0.1'),
    User: !/^[1-9]/.test(body.User ?? ''),
    Limits: !host.Memory || !host.NanoCpus || !host.PidsLimit,
  }
  const found = Object.entries(breaks).filter(([, broken]) => broken)
  if (found.length > 0) throw new TypeError(`the container would break out: ${found.map(([name]) => name).join(', ')}`)
}

/**
 * Files and token as an archive, and where to unpack it. The root can be written to only where it is not read-only;
 * there the archive also gives the workspace folder to the agent's user.
 */
export function archiveOf(spec: InstanceSpec): { path: string; entries: TarEntry[] } {
  const files = [...checkedFiles(spec.files), { path: tokenFile, content: spec.token, mode: 0o600 }]
  const inRoot = !spec.limits.readOnlyRoot
  const base = inRoot ? 'configs/' : './'
  const folders = new Set(inRoot ? ['configs/', 'workspace/'] : ['./'])
  for (const { path } of files)
    for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1))
      folders.add(base + path.slice(0, slash + 1))
  const directories = [...folders].map((path) => ({ path, mode: 0o755, owner: agentUser }))
  const regular = files.map(({ path, content, mode = 0o644 }) => ({
    path: base + path,
    content,
    mode,
    owner: agentUser,
  }))
  return { path: inRoot ? '/' : configs, entries: [...directories, ...regular] }
}

/** The ref that our labels spell, when they are this operator's. */
export function refOf(labels: Readonly<Record<string, string>>, operator: string): InstanceRef | undefined {
  const uid = labels[label.uid]
  if (labels[label.operator] !== operator || !uid) return undefined
  return { uid, namespace: labels[label.namespace] ?? '', name: labels[label.name] ?? '' }
}

/** What an inspected container of ours means. */
export function observationOf(info: ContainerInspectInfo): Observation {
  const id = info.Id as InstanceId
  const specHash = info.Config.Labels[label.specHash] ?? ''
  const state = info.State
  switch (state.Status) {
    case 'created':
      return { state: 'created', id, specHash }
    case 'restarting':
      return { state: 'starting', id, since: new Date(state.StartedAt), specHash }
    case 'running':
    case 'paused':
      return {
        state: 'running',
        id,
        address: addressOf(info),
        specHash,
        startedAt: new Date(state.StartedAt),
        imageDigest: /@(sha256:[0-9a-f]{64})$/.exec(info.Config.Image)?.[1] ?? info.Image,
      }
    case 'removing':
      return { state: 'stopping', id }
    case 'exited':
    // A removal that failed half-way: removing it again is what helps.
    case 'dead': {
      const { ExitCode: exitCode, FinishedAt } = state
      const why = [state.OOMKilled ? 'out of memory' : '', state.Error].filter(Boolean)
      const detail = [`exit code ${exitCode}`, ...why].join(', ')
      return { state: 'exited', id, specHash, exitCode, detail, finishedAt: new Date(FinishedAt) }
    }
    default:
      return { state: 'unknown', cause: `the engine reports the state "${state.Status}"` }
  }
}

function addressOf(info: ContainerInspectInfo): string {
  const published = info.NetworkSettings.Ports[agentPort]?.[0]
  return published === undefined ? '' : `http://127.0.0.1:${published.HostPort}`
}
