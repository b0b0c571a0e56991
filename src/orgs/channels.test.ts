import { expect, it } from 'vitest'
import { renderOrg } from './tree.ts'

const told = (channel: object) => {
  const template = { workspaces: [{ name: 'A', channels: [{ type: 'slack', ...channel }] }] }
  const { nodes, warnings } = renderOrg({ kind: 'inline', template }, { importUid: 'uid' })
  return nodes[0]?.channels.length === 1 ? 'taken' : warnings.map(({ message }) => message).join()
}
const hook = { webhook_url: '${HOOK}' }
const many = (count: number, each: (i: number) => unknown) => Array.from({ length: count }, (_, i) => each(i))
const settings = (count: number) => Object.fromEntries(many(count, (i) => [`s${i}`, 'x']) as [string, string][])

it.each([
  ['256 users', { config: hook, allowed_users: many(256, String) }, 'taken'],
  ['257 users', { config: hook, allowed_users: many(257, String) }, 'at most 256 names'],
  ['a long user', { config: hook, allowed_users: ['x'.repeat(129)] }, 'of at most 128 characters'],
  ['a user of two lines', { config: hook, allowed_users: ['a\nb'] }, 'allowed_users takes'],
  ['32 settings', { config: { ...hook, ...settings(31) } }, 'taken'],
  ['33 settings', { config: { ...hook, ...settings(32) } }, 'more than 32 settings'],
  ['a setting without a name', { config: { ...hook, '': 'x' } }, 'a setting has no proper name'],
  ['a setting of two lines', { config: { ...hook, 'a\nb': 'x' } }, 'a setting has no proper name'],
  ['a number that loses its end', { config: { ...hook, id: 2 ** 60 } }, 'its id is a number that must be quoted'],
  ['a variable in small letters', { config: { webhook_url: '${hook}' } }, 'names "hook", which is no variable'],
  ['a long text', { config: { ...hook, note: 'x'.repeat(4097) } }, 'its note is no proper text'],
  ['a text with a control character', { config: { ...hook, note: 'a\u0007' } }, 'its note is no proper text'],
  ['an empty setting, which is none', { config: { ...hook, note: '' } }, 'taken'],
])('%s', (_what, channel, text) => {
  expect(told(channel)).toContain(text)
})
