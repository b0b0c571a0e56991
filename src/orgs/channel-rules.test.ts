import { expect, test } from 'vitest'
import { channelFault, channelTypes, isCredential } from './channel-rules.ts'

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
  ['lark', { webhook_url: 'https://open.feishu.cn/open-apis/bot/hook/1' }, undefined],
  ['lark', { webhook_url: 'http://open.feishu.cn/open-apis/bot/v2/hook/1' }, /feishu/],
] as const)('%s %j', (type, settings, fault) => {
  const found = channelFault(type, new Map(Object.entries(settings)))
  if (fault === undefined) expect(found).toBeUndefined()
  else expect(found).toMatch(fault)
})

test('a setting that comes from a variable is known to be there, and no more', () => {
  const known = new Map([
    ['bot_token', undefined],
    ['chat_id', undefined],
  ])
  expect(channelFault('telegram', known)).toBeUndefined()
})

test('a value is never said', () => {
  const wrong = new Map([
    ['bot_token', ''],
    ['webhook_url', 'https://x.example/hunter2'],
  ])
  for (const type of channelTypes) expect(channelFault(type, wrong)).not.toContain('hunter2')
})

test('what is a secret is told by its name, however that is written', () => {
  const secrets = ['bot_token', 'webhook_url', 'webhook_secret', 'api_key', 'BOT_TOKEN', 'api-key', 'botToken']
  const more = ['webhookUrl', 'webhookURL', 'webhook url', 'apiKey', 'slackWebhookUrl', 'token', 'PASSWORD']
  expect([...secrets, ...more].filter((name) => !isCredential(name))).toEqual([])
  const others = ['chat_id', 'channel_id', 'tokens_per_day', 'maxTokens', 'monkey', 'hockey', 'keyboard', 'bot_name']
  expect(others.filter(isCredential)).toEqual([])
})
