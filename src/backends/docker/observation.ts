/** What an inspected container means. Pure. */
import type { ContainerInspectInfo } from 'dockerode'
import { adoptedHash, type Exposure, type InstanceId, type Observation } from '../backend.ts'
import { label } from './ownership.ts'
import { agentPort, metadataAddresses } from './translate.ts'

/** Of a container of ours, made or adopted. */
export function observationOf(info: ContainerInspectInfo): Observation {
  const id = info.Id as InstanceId
  const specHash = info.Config.Labels[label.operator] === undefined ? adoptedHash : hashOf(info)
  const state = info.State
  switch (state.Status) {
    case 'created':
      return { state: 'created', id, specHash }
    case 'restarting':
      return { state: 'starting', id, since: new Date(state.StartedAt), specHash }
    case 'running':
    case 'paused': {
      const exposure = exposureOf(info)
      return {
        state: 'running',
        id,
        address: addressOf(info),
        specHash,
        startedAt: new Date(state.StartedAt),
        imageDigest: /@(sha256:[0-9a-f]{64})$/.exec(info.Config.Image)?.[1] ?? info.Image,
        ...(exposure !== undefined && { exposure }),
      }
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

/** What keeps an instance from being as far apart from others as one that is launched now; undefined: nothing. */
export function exposureOf({ Config, HostConfig, NetworkSettings }: ContainerInspectInfo): Exposure | undefined {
  if (Config.Labels[label.operator] === undefined) return 'AdoptedInstance'
  if (HostConfig.NetworkMode === 'host') return 'HostNetwork'
  const own = Config.Labels[label.network]
  // Before its first start the engine knows no ids of networks.
  const others = Object.values(NetworkSettings.Networks).filter(({ NetworkID }) => NetworkID && NetworkID !== own)
  return own === undefined || others.length > 0 ? 'SharedNetwork' : undefined
}

/** Metadata addresses that the container does not have itself, though each was asked for. */
export function unshadowed({ HostConfig, NetworkSettings }: ContainerInspectInfo): string[] {
  if (HostConfig.NetworkMode === 'host') return []
  const own = new Set(Object.values(NetworkSettings.Networks).flatMap(({ IPAMConfig }) => linkLocal(IPAMConfig)))
  return metadataAddresses.filter((address) => !own.has(address))
}

const linkLocal = (config: unknown): unknown[] =>
  typeof config === 'object' && config !== null && 'LinkLocalIPs' in config && Array.isArray(config.LinkLocalIPs)
    ? config.LinkLocalIPs
    : []

const hashOf = ({ Config }: ContainerInspectInfo): string => Config.Labels[label.specHash] ?? ''

/** The published port; on the host's network nothing is published, and the agent was told where to listen. */
function addressOf({ NetworkSettings, HostConfig, Config }: ContainerInspectInfo): string {
  const onHost = HostConfig.NetworkMode === 'host'
  const told = Config.Env.find((line) => line.startsWith('PORT='))?.slice('PORT='.length)
  const port = onHost ? told : NetworkSettings.Ports[`${agentPort}/tcp`]?.[0]?.HostPort
  return port ? `http://127.0.0.1:${port}` : ''
}
