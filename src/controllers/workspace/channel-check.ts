/** Whether a channel's settings can work, before anybody tries them. Pure. Source: spec/org-import §1.4. */

type ChannelType = 'telegram' | 'slack' | 'discord' | 'lark'

/** Settings that are secrets wherever they were written: never kept in clear. */
export const isSecretSetting = (name: string): boolean => /(^|_)(token|secret|password|webhook_url|key)$/.test(name)

const startsWith = (url: string | undefined, ...prefixes: readonly string[]) =>
  url !== undefined && prefixes.some((prefix) => url.startsWith(prefix) && url.length > prefix.length)

/** What is wrong with the settings, or undefined. Never says a value. */
export function channelFault(type: ChannelType, settings: Readonly<Record<string, string>>): string | undefined {
  const { bot_token: token = '', webhook_url: hook } = settings
  switch (type) {
    case 'telegram':
      if (!/^\d+:[A-Za-z0-9_-]{30,}$/.test(token)) return 'bot_token must be digits, a colon and 30 or more characters'
      return (settings['chat_id'] ?? '') === '' ? 'chat_id is missing' : undefined
    case 'slack':
      if (token !== '') return (settings['channel_id'] ?? '') === '' ? 'channel_id is missing' : undefined
      if (startsWith(hook, 'https://hooks.slack.com/')) return undefined
      return 'bot_token and channel_id are needed, or a webhook_url at https://hooks.slack.com/'
    case 'discord':
      if (startsWith(hook, 'https://discord.com/api/webhooks/')) return undefined
      return 'webhook_url must be at https://discord.com/api/webhooks/'
    case 'lark':
      if (startsWith(hook, 'https://open.feishu.cn/open-apis/bot/', 'https://open.larksuite.com/open-apis/bot/'))
        return undefined
      return 'webhook_url must be at https://open.feishu.cn/open-apis/bot/ or https://open.larksuite.com/open-apis/bot/'
  }
}
