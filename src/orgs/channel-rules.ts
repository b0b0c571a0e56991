/** What each service asks of a channel. */

export const channelTypes = ['telegram', 'slack', 'discord', 'lark'] as const
export type ChannelType = (typeof channelTypes)[number]
export const isChannelType = (type: string): type is ChannelType => channelTypes.some((known) => known === type)

interface Form {
  readonly holds: (value: string) => boolean
  readonly text: string
}
const beginsWith = (...starts: readonly string[]): Form => ({
  holds: (value) => starts.some((start) => value.startsWith(start) && value.length > start.length),
  text: `must begin with ${starts.join(' or ')}`,
})
const anything: Form = { holds: (value) => value !== '', text: 'must not be empty' }

/** Of each type the sets of settings that will do, and what their values look like. */
const rules: Readonly<Record<ChannelType, readonly Readonly<Record<string, Form>>[]>> = {
  telegram: [
    {
      bot_token: {
        holds: (value) => /^\d+:[A-Za-z0-9_-]{30,}$/.test(value),
        text: 'must be digits, a colon and thirty characters or more',
      },
      chat_id: anything,
    },
  ],
  slack: [{ webhook_url: beginsWith('https://hooks.slack.com/') }, { bot_token: anything, channel_id: anything }],
  discord: [{ webhook_url: beginsWith('https://discord.com/api/webhooks/') }],
  lark: [
    {
      webhook_url: beginsWith('https://open.feishu.cn/open-apis/bot/', 'https://open.larksuite.com/open-apis/bot/'),
    },
  ],
}

/**
 * What is wrong with the settings of a channel, without their values; undefined when nothing is. A setting whose value
 * is not known yet, because it comes from a variable, is undefined.
 */
export function channelFault(type: ChannelType, settings: ReadonlyMap<string, string | undefined>): string | undefined {
  const faults = rules[type].map((forms) => faultIn(forms, settings))
  if (faults.includes(undefined)) return undefined
  // Of several ways, the one that was begun.
  const begun = rules[type].findIndex((forms) => Object.keys(forms).some((name) => settings.has(name)))
  return faults[Math.max(0, begun)]
}

function faultIn(forms: Readonly<Record<string, Form>>, settings: ReadonlyMap<string, string | undefined>) {
  for (const [name, form] of Object.entries(forms)) {
    if (!settings.has(name)) return `it has no ${name}`
    const value = settings.get(name)
    if (value !== undefined && !form.holds(value)) return `its ${name} ${form.text}`
  }
  return undefined
}

/** A word of its own at the end, however words are joined: `bot_token`, `API-KEY`; `webhookUrl`, `botToken`. */
const parted = /(?:^|[^A-Za-z])(?:token|secret|password|key|webhook[^A-Za-z]?url)$/i
const humped = /[a-z0-9](?:Token|Secret|Password|Key|Webhook_?U(?:rl|RL))$/

/**
 * Settings that let whoever knows them speak for somebody, wherever they were written: in a template they come from
 * variables alone, and no row has them in clear.
 */
export const isCredential = (setting: string): boolean => parted.test(setting) || humped.test(setting)
