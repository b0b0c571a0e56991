/** The settings of a channel from wherever its spec has them, and which of them are secrets. Pure: looks into caches. */
import type { WorkspaceReason } from '../../api/reasons.ts'
import type { WorkspaceSpec } from '../../api/workspace.ts'
import { isCredential } from '../../orgs/channel-rules.ts'
import { labelSecret, openNamespace, tooMuchReferred, type DataKind } from '../references.ts'
import type { Look } from './environment.ts'

export type ChannelSpec = NonNullable<WorkspaceSpec['channels']>[number]

export interface ChannelSettings {
  readonly open: Readonly<Record<string, string>>
  readonly secret: Readonly<Record<string, string>>
}

/** Why a reference cannot be followed. */
export interface SettingLack {
  readonly reason: WorkspaceReason & (`${DataKind}${'Missing' | 'Forbidden'}` | 'KeyMissing' | 'QuotaExceeded')
  readonly message: string
}

/** `waitingFor`: the caches are not filled yet. */
type Read<T> = T | SettingLack | { readonly waitingFor: string }

/** Later ones win: `config`, then `secretRef`, then `configFrom`. */
export function settingsOf(channel: ChannelSpec, namespace: string, look: Look): Read<ChannelSettings> {
  const settings = new Map(
    Object.entries(channel.config ?? {}).map(([name, value]) => [name, { value, secret: isCredential(name) }]),
  )
  if (channel.secretRef !== undefined) {
    const secret = open('Secret', channel.secretRef, namespace, look)
    if (isLack(secret)) return secret
    for (const key of secret?.keys ?? []) {
      const value = secret?.value(key)
      if (value !== undefined) settings.set(key, { value: textOf(value), secret: true })
    }
  }
  for (const { name, value, valueFrom } of channel.configFrom ?? []) {
    const from = valueFrom?.secretKeyRef ?? valueFrom?.configMapKeyRef
    if (from === undefined) {
      settings.set(name, { value: value ?? '', secret: isCredential(name) })
      continue
    }
    const kind = valueFrom?.secretKeyRef === undefined ? 'ConfigMap' : 'Secret'
    const object = open(kind, from, namespace, look)
    if (isLack(object)) return object
    const found = object?.value(from.key)
    if (found !== undefined)
      settings.set(name, { value: textOf(found), secret: kind === 'Secret' || isCredential(name) })
    else if (from.optional !== true)
      return { reason: 'KeyMissing', message: `${kind} "${from.name}" has no key "${from.key}": add it` }
  }
  const some = (secret: boolean) =>
    Object.fromEntries(
      [...settings].filter(([, each]) => each.secret === secret).map(([name, { value }]) => [name, value]),
    )
  return { open: some(false), secret: some(true) }
}

/** The object; undefined where an optional one is missing. */
function open(kind: DataKind, ref: { name: string; optional?: boolean }, namespace: string, look: Look) {
  const found = look(kind, ref.name)
  switch (found.state) {
    case 'found':
      return found
    case 'syncing':
      return { waitingFor: `${kind} "${ref.name}" of namespace ${namespace} to be read` } as const
    case 'exceeded':
      return { reason: 'QuotaExceeded', message: tooMuchReferred(kind, ref.name, namespace, found.limit) } as const
    case 'forbidden':
      return { reason: `${kind}Forbidden`, message: openNamespace(kind, namespace) } as const
    case 'unlabelled':
      return { reason: `${kind}Forbidden`, message: labelSecret(ref.name) } as const
    case 'missing':
      if (ref.optional === true) return undefined
      return {
        reason: `${kind}Missing`,
        message: `${kind} "${ref.name}" does not exist in namespace ${namespace}: create it`,
      } as const
  }
}

export const isLack = <T extends object>(
  read: Read<T> | undefined,
): read is SettingLack | { readonly waitingFor: string } =>
  read !== undefined && ('waitingFor' in read || 'reason' in read)

/** A Secret made from a file ends with its line break. */
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes).trim()
