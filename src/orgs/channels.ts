/** The channels of a node. One that cannot be connected is left out and told of. */
import type { OrgChannel } from '../api/org-template.ts'
import { channelFault, isChannelType, isCredential, type ChannelType } from './channel-rules.ts'
import { envNamePattern } from './env.ts'
import type { Scope } from './scope.ts'
import { flawOf } from './source-text.ts'
import type { Warnings } from './warnings.ts'

export interface NodeChannel {
  /** Unique in its node: its type, for a workspace has one channel of a type. */
  readonly name: ChannelType
  readonly type: ChannelType
  /** Settings that stand in the template. None of them is a secret. */
  readonly config: Readonly<Record<string, string>>
  /** Settings that come from variables, to the name of each. */
  readonly variables: Readonly<Record<string, string>>
  /** Undefined: everyone there. */
  readonly allowedUsers: readonly string[] | undefined
  readonly enabled: boolean
}

export function channelsOf({ node, at, path, warnings }: Scope): NodeChannel[] {
  const channels: NodeChannel[] = []
  for (const [i, channel] of (node.channels ?? []).entries()) {
    const read = readChannel(channel, channels)
    if (typeof read !== 'string') channels.push(read)
    else
      warnings.add('ChannelSkipped', path, `channel "${cut(channel.type ?? '', 32)}" is left out: ${read}`, [
        ...at,
        'channels',
        i,
      ])
  }
  return channels
}

/** A string says why it cannot be connected. */
function readChannel(channel: OrgChannel, before: readonly NodeChannel[]): NodeChannel | string {
  const type = channel.type?.trim() ?? ''
  if (type === '') return 'it has no type'
  if (!isChannelType(type)) return 'its type is not known'
  if (before.some((other) => other.type === type))
    return 'a workspace has one channel of a type, and this is the second'
  const settings = readSettings(channel)
  if (typeof settings === 'string') return settings
  const { config, variables } = settings
  const known = new Map<string, string | undefined>(config)
  for (const [setting] of variables) known.set(setting, undefined)
  const fault = channelFault(type, known)
  if (fault !== undefined) return fault
  const users = [...new Set((channel.allowed_users ?? []).map((user) => String(user).trim()))].filter(
    (user) => user !== '',
  )
  if (users.length > 256 || users.some((user) => user.length > 128 || odd(user)))
    return 'allowed_users takes at most 256 names of at most 128 characters'
  return {
    name: type,
    type,
    config: Object.fromEntries(config),
    variables: Object.fromEntries(variables),
    allowedUsers: users.length === 0 ? undefined : users,
    enabled: channel.enabled ?? true,
  }
}

const reference = /^\$(?:\{(\w+)\}|(\w+))$/

function readSettings(channel: OrgChannel) {
  const config: [string, string][] = []
  const variables: [string, string][] = []
  const given = Object.entries(channel.config ?? {}).filter(([, value]) => value !== undefined && value !== '')
  if (given.length > 32) return 'it has more than 32 settings'
  for (const [setting, value] of given) {
    if (setting === '' || setting.length > 255 || odd(setting)) return 'a setting has no proper name'
    if (typeof value === 'number' && !Number.isSafeInteger(value))
      return `its ${setting} is a number that must be quoted`
    const text = String(value).trim()
    const found = reference.exec(text)
    const variable = found?.[1] ?? found?.[2]
    if (variable !== undefined) {
      if (!envNamePattern.test(variable)) return `its ${setting} names "${cut(variable, 64)}", which is no variable`
      variables.push([setting, variable])
    } else if (/\$\{?[A-Za-z_]/.test(text)) return `its ${setting} mixes a variable with text: a variable stands alone`
    else if (isCredential(setting))
      return `its ${setting} is a secret: write \${A_NAME} and give that variable by spec.env.from`
    else if (text.length > 4096 || flawOf(text, 'prompt') !== undefined) return `its ${setting} is no proper text`
    else config.push([setting, text])
  }
  return { config, variables }
}

const odd = (text: string) => flawOf(text, 'prompt') !== undefined || text.includes('\n')
const cut = (text: string, most: number) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`)

/** Telegram lets one program listen to a bot; the others get errors for ever. */
export function warnOfSharedBots(
  nodes: readonly { readonly path: string; readonly channels: readonly NodeChannel[] }[],
  warnings: Warnings,
): void {
  const users = new Map<string, string[]>()
  for (const { path, channels } of nodes)
    for (const { type, variables, enabled } of channels) {
      const token = variables['bot_token']
      if (type === 'telegram' && enabled && token !== undefined) users.set(token, [...(users.get(token) ?? []), path])
    }
  for (const [token, paths] of users)
    if (paths.length > 1)
      warnings.add(
        'SharedChannelToken',
        '',
        `${paths.length} telegram channels use the bot of ${token}, and only one can listen: ${cut(paths.join(', '), 400)}`,
      )
}
