/** The row of `workspaces` as the port shows it: which columns, how they travel, what they become. */
import type { Failure, Phase, WorkspaceId, WorkspaceRow } from '../workspace-store.ts'
import type { Answer } from './statement.ts'

/** The columns that a `WorkspaceRow` is made of. */
const names = [
  'id',
  'status',
  'status_since',
  'runtime',
  'backend',
  'instance_id',
  'url',
  'runtime_image_digest',
  'launched_hash',
  'launched_at',
  'launch_attempts',
  'registered_at',
  'last_heartbeat_at',
  'active_tasks',
  'last_error_rate',
  'current_task',
  'last_sample_error',
  'last_failure',
  'wanted_since',
  'restarts',
  'last_task_at',
  'busy_since',
  'last_traffic_at',
  'wake_requested_at',
  'template',
  'parts_hash',
  'parent_id',
  'legacy',
  'inbound_secret',
  'registration_refusal',
] as const
const times: ReadonlySet<string> = new Set([
  'status_since',
  'launched_at',
  'registered_at',
  'last_heartbeat_at',
  'wanted_since',
  'last_task_at',
  'busy_since',
  'last_traffic_at',
  'wake_requested_at',
])

/** As they stand: for a CTE. */
export const rawColumns = (table: string): string => names.map((name) => `${table}.${name}`).join(', ')

/** As they travel: times as milliseconds, which cost a fraction of what reading a timestamp costs; of a secret, whether. */
export const sentColumns = (table: string): string =>
  names
    .map((name) => {
      if (name === 'inbound_secret') return `${table}.inbound_secret IS NOT NULL AS has_inbound_secret`
      return times.has(name) ? `date_part('epoch', ${table}.${name}) * 1000 AS ${name}` : `${table}.${name}`
    })
    .join(', ')

/** What `sentColumns` gives; `id` is null when there was no row. */
export interface SentRow extends Answer {
  id: string | null
  status: Phase
  status_since: number
  runtime: string
  backend: string
  instance_id: string | null
  url: string
  runtime_image_digest: string | null
  launched_hash: string | null
  launched_at: number | null
  launch_attempts: number
  registered_at: number | null
  last_heartbeat_at: number | null
  active_tasks: number
  last_error_rate: number
  current_task: string | null
  last_sample_error: string | null
  last_failure: KeptFailure | null
  wanted_since: number
  restarts: number
  last_task_at: number | null
  busy_since: number | null
  last_traffic_at: number | null
  wake_requested_at: number | null
  template: string | null
  parts_hash: string | null
  parent_id: string | null
  legacy: boolean
  has_inbound_secret: boolean
  registration_refusal: string | null
}

/** A failure as `last_failure` holds it. */
interface KeptFailure {
  readonly reason: string
  readonly exitCode?: number
  readonly at: string
  readonly logTail: string
  readonly refused?: boolean
}

/** jsonb takes no NUL and no lone surrogate, and an instance may say anything. */
const storable = (text: string): string => text.toWellFormed().replaceAll('\0', '')

export function keptFailure({ reason, exitCode, at, logTail, refused }: Failure): string {
  const kept: KeptFailure = {
    reason: storable(reason),
    ...(exitCode !== undefined && { exitCode }),
    at: at.toISOString(),
    logTail: storable(logTail),
    ...(refused === true && { refused }),
  }
  return JSON.stringify(kept)
}

const failureOf = ({ reason, exitCode, at, logTail, refused }: KeptFailure): Failure => ({
  reason,
  exitCode,
  at: new Date(at),
  logTail,
  ...(refused === true && { refused }),
})

const dateOf = (time: number | null): Date | undefined => (time === null ? undefined : new Date(time))

export function toWorkspaceRow(sent: SentRow & { id: string }): WorkspaceRow {
  return {
    id: sent.id as WorkspaceId,
    status: sent.status,
    statusSince: new Date(sent.status_since),
    runtime: sent.runtime,
    backend: sent.backend,
    instanceId: sent.instance_id ?? undefined,
    url: sent.url,
    imageDigest: sent.runtime_image_digest ?? undefined,
    launchedHash: sent.launched_hash ?? undefined,
    launchedAt: dateOf(sent.launched_at),
    launchAttempts: sent.launch_attempts,
    registeredAt: dateOf(sent.registered_at),
    lastHeartbeatAt: dateOf(sent.last_heartbeat_at),
    activeTasks: sent.active_tasks,
    errorRate: sent.last_error_rate,
    currentTask: sent.current_task ?? undefined,
    lastError: sent.last_sample_error ?? undefined,
    lastFailure: sent.last_failure === null ? undefined : failureOf(sent.last_failure),
    wantedSince: new Date(sent.wanted_since),
    restarts: sent.restarts,
    lastTaskAt: dateOf(sent.last_task_at),
    busySince: dateOf(sent.busy_since),
    lastTrafficAt: dateOf(sent.last_traffic_at),
    wakeRequestedAt: dateOf(sent.wake_requested_at),
    template: sent.template ?? undefined,
    partsHash: sent.parts_hash ?? undefined,
    legacy: sent.legacy,
    parentId: (sent.parent_id as WorkspaceId | null) ?? undefined,
    hasInboundSecret: sent.has_inbound_secret,
    registrationRefusal: sent.registration_refusal ?? undefined,
  }
}
