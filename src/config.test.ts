import { expect, test } from 'vitest'
import { ConfigError, helpText, readConfig } from './config.ts'

const base = { DATABASE_URL: 'postgres://u:hunter2@h/d' }

test('a flag wins over the environment, in both spellings', () => {
  const env = { ...base, LEASE_NAME: 'from-env', WORKERS: '7' }
  expect(readConfig([], env)).toMatchObject({ LEASE_NAME: 'from-env', WORKERS: 7, DEFAULT_BACKEND: 'external' })
  expect(readConfig(['--lease-name', 'flag', '--workers=9'], env)).toMatchObject({ LEASE_NAME: 'flag', WORKERS: 9 })
})

test('every fault is named at once, and no value is echoed', () => {
  const wrong = { ADMIN_TOKEN: 'hunter2', WORKERS: 'many', BACKENDS: 'docker,moon' }
  const read = () => readConfig([], wrong)
  expect(read).toThrow(ConfigError)
  expect(read).toThrow(/DATABASE_URL is not set.*ADMIN_TOKEN has at least 32.*BACKENDS.*WORKERS/s)
  expect(read).not.toThrow(/hunter2/)
})

test('settings that contradict each other are refused', () => {
  expect(() => readConfig(['--default-backend', 'docker'], base)).toThrow(/"docker" is not among BACKENDS/)
  expect(() => readConfig(['--backends', 'process'], base)).toThrow(/PROCESS_COMMAND and PROCESS_STATE_DIR/)
  expect(() => readConfig(['--nonsense', '1'], base)).toThrow(/unknown argument "--nonsense"/)
  expect(() => readConfig(['--workers'], base)).toThrow(/--workers needs a value/)
})

test('the key of credentials is 32 bytes in base64, and never echoed', () => {
  const key = Buffer.alloc(32, 7)
  expect(readConfig([], { ...base, SECRETS_KEY: key.toString('base64') }).SECRETS_KEY).toEqual(key)
  for (const wrong of ['hunter2', key.toString('hex'), Buffer.alloc(31).toString('base64')]) {
    const read = () => readConfig([], { ...base, SECRETS_KEY: wrong })
    expect(read).toThrow(/SECRETS_KEY is 32 bytes in base64/)
    expect(read).not.toThrow(wrong)
  }
})

test('networks of sources are networks', () => {
  const read = (networks: string) => readConfig([], { ...base, SOURCE_NETWORKS: networks }).SOURCE_NETWORKS
  expect(read('10.96.0.0/12, fd00::/8')).toEqual(['10.96.0.0/12', 'fd00::/8'])
  expect(readConfig([], base)).toMatchObject({ SOURCE_HOSTS: [], SOURCE_HTTP_HOSTS: [], SOURCE_NETWORKS: [] })
  for (const wrong of ['10.0.0.1', '10.0.0.0/33', 'fd00::/129', 'git.example/8', '10.0.0/8'])
    expect(() => read(wrong)).toThrow(/SOURCE_NETWORKS is a list of networks like 10.0.0.0\/8/)
})

test('help names every setting', () => {
  expect(helpText()).toMatch(/--database-url\s+DATABASE_URL\s+PostgreSQL/)
})
