import { expect, test } from 'vitest'
import { Terminal } from '../errors.ts'
import { checkedFiles, instanceName } from './names.ts'

test('an instance is named by its full uid', () => {
  expect(instanceName('0b5c1d3e-0000-4000-8000-000000000001')).toBe('ws-0b5c1d3e-0000-4000-8000-000000000001')
})

test.each(['', '../etc', 'a/b', '-a', 'a'.repeat(64)])('the uid %j is refused', (uid) => {
  expect(() => instanceName(uid)).toThrow(Terminal)
})

test.each([
  '',
  '/etc/passwd',
  '../x',
  'a/../../x',
  'a//b',
  'a/',
  './a',
  'a\\b',
  'a\0b',
  '.auth_token',
  '.platform_inbound_secret',
  'a'.repeat(201),
])('the file path %j is refused', (path) => {
  expect(() => checkedFiles([{ path, content: '' }])).toThrow(Terminal)
})

test('ordinary paths are kept', () => {
  const files = [
    { path: 'config.yaml', content: 'a' },
    { path: 'skills/a b/..md', content: 'b' },
  ]
  expect(checkedFiles(files)).toBe(files)
})
