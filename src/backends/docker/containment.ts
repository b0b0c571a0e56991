/** The last look at a body before it is sent: whoever changes how it is made meets this fence before they meet the host. */
import type { ContainerCreateOptions, MountSettings } from 'dockerode'
import type { HostAccess, HostFolder, InstanceSpec } from '../backend.ts'
import { metadataAddresses, workspace } from './translate.ts'

type Openings = Pick<InstanceSpec, 'limits' | 'hostFolder'>

/** Throws a TypeError that names every way out that the spec's own limits and folder do not open. */
export function assertContained(body: ContainerCreateOptions, { limits, hostFolder }: Openings, socket: string): void {
  const host = body.HostConfig ?? {}
  const opened = (access: HostAccess) => limits.hostAccess.includes(access)
  const breaks = {
    Privileged: host.Privileged === true && !opened('Privileged'),
    Binds: (host.Binds ?? []).length > 0,
    Devices: (host.Devices ?? []).length > 0 || (host.DeviceRequests ?? []).length > 0,
    CapAdd: host.CapAdd !== undefined,
    CapDrop: host.CapDrop?.[0] !== 'ALL' && !opened('Privileged'),
    VolumesFrom: (host.VolumesFrom ?? []).length > 0,
    Mounts: (host.Mounts ?? []).some(
      (mount) =>
        !isVolume(mount) &&
        !isFolder(mount, hostFolder) &&
        !(mount.Type === 'bind' && mount.Source === socket && opened('EngineSocket')),
    ),
    NetworkMode: !isNetwork(host.NetworkMode) && !(host.NetworkMode === 'host' && opened('HostNetwork')),
    PidMode: Boolean(host.PidMode) && !(host.PidMode === 'host' && opened('HostPID')),
    Namespaces: [host.IpcMode, host.UsernsMode, host.UTSMode, host.CgroupParent].some(Boolean),
    SecurityOpt: host.SecurityOpt?.join() !== 'no-new-privileges:true' && !opened('Privileged'),
    PortBindings: Object.values((host.PortBindings ?? {}) as Record<string, { HostIp: string }[]>)
      .flat()
      .some(({ HostIp }) => HostIp !== '127.0.0.1'),
    User: !/^[1-9]/.test(body.User ?? ''),
    Limits: !host.Memory || !host.NanoCpus || !host.PidsLimit,
    Metadata: isNetwork(host.NetworkMode) && !shadowsMetadata(body, host.NetworkMode),
  }
  const found = Object.entries(breaks).filter(([, broken]) => broken)
  if (found.length > 0) throw new TypeError(`the container would break out: ${found.map(([name]) => name).join(', ')}`)
}

const isVolume = ({ Type, Source }: MountSettings) => Type === 'volume' && !Source.includes('/')

const isFolder = ({ Type, Source, Target, ReadOnly }: MountSettings, folder: HostFolder | undefined): boolean =>
  Type === 'bind' &&
  Source === folder?.path &&
  Target === workspace &&
  (ReadOnly === true || folder.access === 'read_write')

const isNetwork = (mode: string | undefined): mode is string =>
  mode !== undefined && mode !== '' && !/^(host|container:.*|none|bridge|default)$/.test(mode)

const shadowsMetadata = ({ NetworkingConfig }: ContainerCreateOptions, network: string): boolean => {
  const own = NetworkingConfig?.EndpointsConfig?.[network]?.IPAMConfig?.LinkLocalIPs ?? []
  return metadataAddresses.every((address) => own.includes(address))
}
