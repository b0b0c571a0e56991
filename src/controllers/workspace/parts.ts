/** From a spec to the rows of what else a workspace is made of, and what stands in the way of some of them. Pure. */
import { createHash } from 'node:crypto'
import type { WorkspaceReason } from '../../api/reasons.ts'
import type { Workspace, WorkspaceSpec } from '../../api/workspace.ts'
import { faultOf } from '../../cron.ts'
import { channelFault } from '../../orgs/channel-rules.ts'
import type { DeclaredChannel, DeclaredPlugin, PartsRecorded, WorkspaceParts } from '../../store/part-store.ts'
import type { WorkspaceId } from '../../store/workspace-store.ts'
import { isLack, settingsOf, type ChannelSpec, type SettingLack } from './channel-settings.ts'
import type { Look } from './environment.ts'
import type { PartsVerdict } from './judge.ts'
import { memoryText } from './memory-text.ts'

/** Why a part is not there as the spec asks. */
export interface PartFault {
  readonly reason:
    | SettingLack['reason']
    | (WorkspaceReason & ('ScheduleInvalid' | 'ScheduleNameTaken' | 'ChannelInvalid' | 'SecretsKeyMissing'))
  readonly message: string
}

export interface Parts {
  /** All that can be recorded. A channel that cannot is in `keptChannels`: what its row says stays. */
  readonly rows: WorkspaceParts
  readonly faults: readonly PartFault[]
}

/** What is looked at beside the spec. */
export interface PartsAround {
  readonly look: Look
  /** Stands for the key that credentials are sealed with, and differs when the key does; undefined: there is none. */
  readonly sealing: string | undefined
  /** Of every PluginInstall that has this workspace among its targets. */
  readonly plugins: readonly DeclaredPlugin[]
}

/** `waitingFor`: caches are not filled yet, and nothing can be said. */
export function partsOf(
  workspace: Workspace,
  id: WorkspaceId,
  around: PartsAround,
): Parts | { readonly waitingFor: string } {
  const { spec, metadata } = workspace
  const namespace = metadata.namespace ?? ''
  const channels = (spec.channels ?? []).map((channel) => channelOf(channel, namespace, around))
  const waiting = channels.find((channel) => 'waitingFor' in channel)
  if (waiting !== undefined && 'waitingFor' in waiting) return waiting
  const faulty = channels.filter((channel) => 'reason' in channel)
  const content = {
    schedules: (spec.schedules ?? []).map(({ name, cron, timezone, prompt, enabled }) => ({
      name,
      cron,
      timezone,
      prompt,
      enabled,
    })),
    channels: channels.filter((channel) => 'type' in channel),
    keptChannels: faulty.map(({ name }) => name),
    memories: (spec.memories ?? []).map(({ content: text, scope }) => ({ content: memoryText(text), scope })),
    plugins: around.plugins,
    routing: spec.categoryRouting ?? {},
  }
  const sealed = content.channels.some(({ credentials }) => credentials !== undefined)
  const hash = createHash('sha256')
    .update(JSON.stringify([content, sealed ? around.sealing : undefined], sorted))
    .digest('hex')
    .slice(0, 32)
  return {
    rows: { id, ownerUid: metadata.uid, namespace, generation: metadata.generation, hash, ...content },
    faults: [...scheduleFaults(spec.schedules ?? []), ...faulty],
  }
}

/** The faults that show only once the rows were written. */
export function recordedFaults(recorded: PartsRecorded): readonly PartFault[] {
  if (recorded.kind === 'stale') return []
  return recorded.taken.map((name) => ({
    reason: 'ScheduleNameTaken',
    message: `spec.schedules[${name}]: the agent has a schedule of its own by this name: choose another`,
  }))
}

/** The condition PartsRecorded; undefined where there is nothing to be recorded. */
export function judgeParts(
  { schedules, channels, keptChannels, memories, routing }: WorkspaceParts,
  faults: readonly PartFault[],
): PartsVerdict | undefined {
  const idle = faults.filter(({ reason }) => reason === 'ScheduleInvalid' || reason === 'ScheduleNameTaken').length
  const delivered = { schedules: schedules.length - idle, channels: channels.length }
  const [first] = faults
  if (first !== undefined)
    return { holds: false, reason: first.reason, message: faults.map(({ message }) => message).join('; '), delivered }
  const counted = [
    [schedules.length, 'schedules'],
    [channels.length + keptChannels.length, 'channels'],
    [memories.length, 'memories'],
    [Object.keys(routing).length, 'routes'],
  ] as const
  const some = counted.filter(([count]) => count > 0)
  if (some.length === 0) return undefined
  const message = `rows carry ${some.map((each) => each.join(' ')).join(', ')}`
  return { holds: true, reason: 'Recorded', message, delivered }
}

/** Objects with their keys in order: the same parts have the same digest. */
const sorted = (_: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value

/** Such a schedule has a row all the same, and never runs. */
const scheduleFaults = (schedules: NonNullable<WorkspaceSpec['schedules']>): PartFault[] =>
  schedules.flatMap(({ name, cron, timezone }) => {
    const why = faultOf(cron, timezone)
    return why === undefined ? [] : [{ reason: 'ScheduleInvalid', message: `spec.schedules[${name}]: ${why}` }]
  })

type Judged = DeclaredChannel | (PartFault & { readonly name: string }) | { readonly waitingFor: string }

function channelOf(channel: ChannelSpec, namespace: string, { look, sealing }: PartsAround): Judged {
  const { name, type, enabled, allowedUsers } = channel
  const fault = (reason: PartFault['reason'], why: string): Judged => ({
    name,
    reason,
    message: `spec.channels[${name}]: ${why}`,
  })
  const settings = settingsOf(channel, namespace, look)
  if (isLack(settings)) return 'waitingFor' in settings ? settings : fault(settings.reason, settings.message)
  const { open: config, secret } = settings
  const wrong = channelFault(type, new Map(Object.entries({ ...config, ...secret }))) ?? oddText(config)
  if (wrong !== undefined) return fault('ChannelInvalid', wrong)
  const credentials = Object.keys(secret).length > 0 ? secret : undefined
  if (credentials !== undefined && sealing === undefined)
    return fault('SecretsKeyMissing', 'its credentials are kept sealed only, and the operator has no SECRETS_KEY')
  return { name, type, config, credentials, allowedUsers, enabled }
}

/** What a ConfigMap may hold and no row takes. */
function oddText(config: Readonly<Record<string, string>>): string | undefined {
  const odd = Object.entries(config).find(([, value]) => value.includes('\0'))
  return odd && `its ${odd[0]} has a NUL character in it`
}
