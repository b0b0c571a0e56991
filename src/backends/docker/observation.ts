/** What an inspected container means. Pure. */
import type { ContainerInspectInfo } from 'dockerode'
import { adoptedHash, type InstanceId, type Observation } from '../backend.ts'
import { label } from './ownership.ts'
import { agentPort } from './translate.ts'

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

const hashOf = ({ Config }: ContainerInspectInfo): string => Config.Labels[label.specHash] ?? ''

/** The published port; on the host's network nothing is published, and the agent was told where to listen. */
function addressOf({ NetworkSettings, HostConfig, Config }: ContainerInspectInfo): string {
  const onHost = HostConfig.NetworkMode === 'host'
  const told = Config.Env.find((line) => line.startsWith('PORT='))?.slice('PORT='.length)
  const port = onHost ? told : NetworkSettings.Ports[`${agentPort}/tcp`]?.[0]?.HostPort
  return port ? `http://127.0.0.1:${port}` : ''
}
