import { expect, test } from 'vitest'
import { channelFault, isSecretSetting } from './channel-check.ts'

const token = `123:${'a'.repeat(30)}`

test.each([
  ['telegram', { bot_token: token, chat_id: '5' }, undefined],
  ['telegram', { bot_token: token }, /chat_id/],
  ['telegram', { bot_token: '123:short', chat_id: '5' }, /bot_token/],
  ['telegram', { env: 'x' }, /bot_token/],
  ['slack', { bot_token: 'xoxb-1', channel_id: 'C1' }, undefined],
  ['slack', { bot_token: 'xoxb-1' }, /channel_id/],
  ['slack', { webhook_url: 'https://hooks.slack.com/services/1' }, undefined],
  ['slack', { webhook_url: 'https://hooks.slack.com.evil.example/1' }, /hooks\.slack\.com/],
  ['discord', { webhook_url: 'https://discord.com/api/webhooks/1/x' }, undefined],
  ['discord', { webhook_url: 'https://discord.com/api/webhooks/' }, /webhook_url/],
  ['lark', { webhook_url: 'https://open.larksuite.com/open-apis/bot/v2/hook/1' }, undefined],
  ['lark', { webhook_url: 'http://open.feishu.cn/open-apis/bot/v2/hook/1' }, /feishu/],
] as const)('%s %j', (type, settings, fault) => {
  const found = channelFault(type, settings)
  if (fault === undefined) expect(found).toBeUndefined()
  else expect(found).toMatch(fault)
})

test('a value is never said', () => {
  for (const type of ['telegram', 'slack', 'discord', 'lark'] as const)
    expect(channelFault(type, { bot_token: '', webhook_url: 'https://x.example/hunter2' })).not.toContain('hunter2')
})

test('what is a secret is told by its name', () => {
  expect(['bot_token', 'webhook_url', 'webhook_secret', 'api_key'].every(isSecretSetting)).toBe(true)
  expect(['chat_id', 'channel_id', 'tokens_per_day'].some(isSecretSetting)).toBe(false)
})
