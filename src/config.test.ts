import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ConfigError, readConfig, requireReach } from './config.ts'
import { helpText } from './help.ts'

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
  expect(read).toThrow(
    /DATABASE_URL is not set.*ADMIN_TOKEN must have at least 32 characters; it has 7.*BACKENDS.*WORKERS/s,
  )
  expect(read).not.toThrow(/hunter2/)
})

test('settings that contradict each other are refused', () => {
  expect(() => readConfig(['--default-backend', 'docker'], base)).toThrow(
    /DEFAULT_BACKEND must be one of BACKENDS: "docker" is not among them/,
  )
  expect(() => readConfig(['--backends', 'process'], base)).toThrow(/PROCESS_COMMAND and PROCESS_STATE_DIR/)
  expect(() => readConfig(['--nonsense', '1'], base)).toThrow(/unknown argument "--nonsense"/)
  expect(() => readConfig(['--workers'], base)).toThrow(/--workers needs a value/)
})

test('help says what each setting must be, and what it is when not given, in lines that no terminal breaks', () => {
  const help = helpText()
  const about = (flag: string) =>
    new RegExp(`^ {2}--${flag},.*\\n((?: {6}.*\\n)+)`, 'm').exec(help)?.[1]?.replaceAll(/\s+/g, ' ')
  expect(about('log-level')).toMatch(/Must be trace, debug, info, warn or error\. Default: info\./)
  expect(about('deployment-mode')).toMatch(/Must be self-hosted or saas\. Default: self-hosted\./)
  expect(about('backends')).toMatch(
    /Must be one or more of docker, process and external, separated by commas\. Default: external\./,
  )
  expect(about('workers')).toMatch(/Must be a whole number from 1 to 1024\. Default: 256\./)
  expect(about('migrate')).toMatch(/Must be true or false\. Default: true\./)
  expect(about('liveness-silence')).toMatch(/Must be a duration like 90s, 30m or 1h30m\. Default: 180s\./)
  expect(about('objects-total')).toMatch(/Must be a size like 512Ki, 32Mi or 1Gi\. Default: 192Mi\./)
  expect(about('orphan-share')).toMatch(/Must be a number from 0 to 1\. Default: 0\.2\./)
  expect(about('source-hosts')).not.toMatch(/Default/)
  for (const command of ['run', 'migrate', 'adopt', 'version', 'help'])
    expect(help).toMatch(new RegExp(`^  ${command}\\n {6}[A-Z]`, 'm'))
  expect(help.split('\n').filter((line) => line.length > 120)).toEqual([])
})

test.each([
  ['ADMIN_TOKEN', 'hunter2', 'must have at least 32 characters; it has 7 (openssl rand -base64 32 gives one)'],
  ['LEADER_ELECT', 'yes', 'must be true or false'],
  ['MIGRATE', '', undefined],
  ['WORKERS', 'hunter2', 'must be a whole number from 1 to 1024'],
  ['WORKERS', '0', 'must be a whole number from 1 to 1024'],
  ['WORKERS', '1e2', 'must be a whole number from 1 to 1024'],
  ['PLATFORM_PORT', '65536', 'must be a whole number from 0 to 65535'],
  ['ORPHAN_SHARE', '1.1', 'must be a number from 0 to 1'],
  ['LOG_LEVEL', 'loud', 'must be trace, debug, info, warn or error'],
  ['DEPLOYMENT_MODE', 'cloud', 'must be self-hosted or saas'],
  ['BACKENDS', 'external,moon', 'must be one or more of docker, process and external, separated by commas'],
  ['BACKENDS', ',', 'must be one or more of docker, process and external, separated by commas'],
  ['DEFAULT_BACKEND', 'moon', 'must be docker, process or external'],
  ['LIVENESS_SILENCE', '90', 'must be a duration like 90s, 30m or 1h30m'],
  ['OBJECTS_TOTAL', '1GB', 'must be a size like 512Ki, 32Mi or 1Gi'],
  ['PROCESS_COMMAND', 'node', 'must be a JSON array of strings like ["node","agent.js"]'],
  ['PLATFORM_URL', 'operator:8080', 'must be a URL like http://host.docker.internal:8080'],
  ['DATABASE_URL', 'mysql://hunter2', 'must be a URL like postgres://user:password@host:5432/database'],
  ['TIERS', 'hunter2', 'must be JSON by tier, like {"4":{"memory":"8Gi","cpus":4}}'],
])('%s=%s: the fault says what is expected, in words that are true', (name, value, fault) => {
  const read = () => readConfig([], { ...base, [name]: value })
  if (fault === undefined) expect(read).not.toThrow()
  else expect(read).toThrow(new ConfigError(`${name} ${fault}`))
})

test('modes of TLS that the driver would warn of are spelled out', () => {
  const { DATABASE_URL } = readConfig([], { DATABASE_URL: 'postgres://h/d?sslmode=require' })
  expect(DATABASE_URL).toBe('postgres://h/d?sslmode=verify-full')
})

test('containers are given an address that they can reach', () => {
  const docker = { ...base, SECRETS_KEY: Buffer.alloc(32).toString('base64'), BACKENDS: 'docker' }
  const read = (given: object) => () => requireReach(readConfig([], { ...docker, ...given }))
  expect(read({ PLATFORM_PORT: '9090' })).toThrow(
    'PLATFORM_URL is not set, and containers cannot reach the 127.0.0.1 that it is then: set http://host.docker.internal:9090 for a Docker engine on this machine',
  )
  for (const PLATFORM_URL of ['http://127.0.0.1:8080', 'http://localhost', 'http://[::1]:1', 'http://0.0.0.0:8080'])
    expect(read({ PLATFORM_URL })).toThrow(
      /^PLATFORM_URL is loopback, where a container reaches itself alone: set http:/,
    )
  for (const PLATFORM_URL of ['http://host.docker.internal:8080', 'https://operator.example', 'http://10.0.0.1:8080'])
    expect(read({ PLATFORM_URL })).not.toThrow()
  // Agents on the network of the host do reach it there.
  const TIERS = '{"4":{"hostAccess":["HostNetwork"],"namespaces":["ops"]}}'
  expect(read({ TIERS, PLATFORM_URL: 'http://127.0.0.1:8080' })).not.toThrow()
  expect(read({ BACKENDS: 'external', PLATFORM_URL: 'http://127.0.0.1:8080' })).not.toThrow()
})

test('a backend that launches instances needs the key that their secrets are sealed with', () => {
  for (const name of ['docker', 'process', 'external,docker'])
    expect(() => readConfig(['--backends', name], base)).toThrow(/SECRETS_KEY is not set.*openssl rand -base64 32/)
  expect(readConfig(['--backends', 'external'], base).SECRETS_KEY).toBeUndefined()
})

test('the key of credentials is 32 bytes in base64, and never echoed', () => {
  const key = Buffer.alloc(32, 7)
  expect(readConfig([], { ...base, SECRETS_KEY: key.toString('base64') }).SECRETS_KEY).toEqual(key)
  for (const wrong of ['hunter2', key.toString('hex'), Buffer.alloc(31).toString('base64')]) {
    const read = () => readConfig([], { ...base, SECRETS_KEY: wrong })
    expect(read).toThrow(
      /SECRETS_KEY must be 32 bytes in base64: openssl rand -base64 32; (it is not base64|it has (31|48) bytes)$/,
    )
    expect(read).not.toThrow(wrong)
  }
})

test('folders of the host are given by namespace', () => {
  const read = (roots: string) => readConfig([], { ...base, WORKSPACE_ROOTS: roots }).WORKSPACE_ROOTS
  expect(read('/srv/agents/{namespace}, /data/{namespace}')).toEqual(['/srv/agents', '/data'])
  expect(() => read('/srv/agents')).toThrow(/WORKSPACE_ROOTS "\/srv\/agents" .*"\/srv\/agents\/\{namespace\}"/)
})

test('networks of sources are networks', () => {
  expect(readConfig([], { ...base, DEPLOYMENT_MODE: 'saas' })).toMatchObject({ AGENT_NETWORKS: [] })
  expect(readConfig([], { ...base, AGENT_NETWORKS: '10.8.0.0/16, fd00:8::/32' })).toMatchObject({
    AGENT_NETWORKS: ['10.8.0.0/16', 'fd00:8::/32'],
  })
  const read = (networks: string) => readConfig([], { ...base, SOURCE_NETWORKS: networks }).SOURCE_NETWORKS
  expect(read('10.96.0.0/12, fd00::/8')).toEqual(['10.96.0.0/12', 'fd00::/8'])
  expect(readConfig([], base)).toMatchObject({ SOURCE_HOSTS: [], SOURCE_HTTP_HOSTS: [], SOURCE_NETWORKS: [] })
  for (const wrong of ['10.0.0.1', '10.0.0.0/33', 'fd00::/129', 'git.example/8', '10.0.0/8'])
    expect(() => read(wrong)).toThrow(/SOURCE_NETWORKS must be a list of networks like 10.0.0.0\/8/)
})

test('the default host of sources is one of those that are allowed, where not all are', () => {
  const read = (SOURCE_DEFAULT_HOST: string, SOURCE_HOSTS = '') =>
    readConfig([], { ...base, SOURCE_DEFAULT_HOST, SOURCE_HOSTS }).SOURCE_DEFAULT_HOST
  expect(read('')).toBeUndefined()
  expect(read('Git.Example:8443')).toBe('git.example:8443')
  for (const hosts of ['other.example, git.example', 'git.example:8443', '*.example'])
    expect(read('git.example:8443', hosts)).toBe('git.example:8443')
  for (const hosts of ['other.example', 'git.example:444', '*.git.example'])
    expect(() => read('git.example:8443', hosts)).toThrow('SOURCE_DEFAULT_HOST must be one of SOURCE_HOSTS')
  for (const wrong of [
    'https://git.example',
    'git.example/org',
    'me@git.example',
    '*.example',
    'a..b',
    'git.example:x',
  ])
    expect(() => read(wrong)).toThrow('SOURCE_DEFAULT_HOST must be a host like git.example or git.example:8443')
})

test('a secret is no flag, and comes from a file as well', () => {
  for (const flag of ['--admin-token', '--database-url', '--secrets-key']) {
    const read = () => readConfig([`${flag}=hunter2`], base)
    expect(read).toThrow(/would show a secret in the list of processes: set [A-Z_]+, or/)
    expect(read).not.toThrow(/hunter2/)
  }
  expect(() => readConfig(['--admin-tokn=hunter2'], base)).toThrow(/^unknown argument "--admin-tokn"; see --help$/)
  const dir = mkdtempSync(join(tmpdir(), 'molecule-config-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const path = join(dir, 'token')
  writeFileSync(path, `${'t'.repeat(40)}\n`)
  expect(readConfig(['--admin-token-file', path], base).ADMIN_TOKEN).toBe('t'.repeat(40))
  expect(readConfig([], { ...base, ADMIN_TOKEN_FILE: path }).ADMIN_TOKEN).toBe('t'.repeat(40))
  expect(() => readConfig([], { ...base, DATABASE_URL_FILE: path })).toThrow(
    /DATABASE_URL and DATABASE_URL_FILE are both/,
  )
  expect(() => readConfig([], { ...base, ADMIN_TOKEN_FILE: `${path}x` })).toThrow(
    /ADMIN_TOKEN_FILE: .*x cannot be read \(ENOENT\)/,
  )
})

test('a released operator has no backend of the tests', () => {
  expect(() => readConfig([], { ...base, BACKENDS: 'fake' })).toThrow(/BACKENDS/)
  const SECRETS_KEY = Buffer.alloc(32, 7).toString('base64')
  expect(readConfig([], { ...base, SECRETS_KEY, BACKENDS: 'fake' }, ['fake']).BACKENDS).toEqual(['fake'])
})

test('health and metrics listen on loopback, but in a pod', () => {
  expect(readConfig([], base).HEALTH_HOST).toBe('127.0.0.1')
  expect(readConfig([], { ...base, KUBERNETES_SERVICE_HOST: '10.0.0.1' }).HEALTH_HOST).toBe('0.0.0.0')
  expect(readConfig([], { ...base, HEALTH_HOST: '192.0.2.1' }).HEALTH_HOST).toBe('192.0.2.1')
})

test('help names every setting, secrets by their files', () => {
  expect(helpText()).toMatch(/^ {2}--database-url-file FILE, DATABASE_URL or DATABASE_URL_FILE\n {6}PostgreSQL/m)
  expect(helpText()).not.toMatch(/--admin-token |FAILPOINT|fake/)
})

test('an engine of another machine is spoken to by TLS alone', () => {
  const key = Buffer.alloc(32).toString('base64')
  const read = (given: object) => () => readConfig([], { ...base, SECRETS_KEY: key, BACKENDS: 'docker', ...given })
  const tls = { DOCKER_TLS_CA: '/ca', DOCKER_TLS_CERT: '/cert', DOCKER_TLS_KEY: '/key' }
  for (const DOCKER_HOST of [
    'unix:///run/docker.sock',
    'tcp://127.0.0.1:2375',
    'tcp://localhost:1',
    'tcp://[::1]:2375',
  ])
    expect(read({ DOCKER_HOST })).not.toThrow()
  for (const DOCKER_HOST of ['tcp://engine:2375', 'tcp://10.0.0.1:2376', 'tcp://127.0.0.1.example:2375']) {
    expect(read({ DOCKER_HOST })).toThrow(/DOCKER_HOST is another machine: set DOCKER_TLS_CA/)
    expect(read({ DOCKER_HOST, ...tls })).not.toThrow()
    // A variable of another tool's, where no engine is used.
    expect(read({ DOCKER_HOST, BACKENDS: 'external' })).not.toThrow()
  }
  for (const DOCKER_HOST of ['ssh://engine', 'http://engine', '/run/docker.sock', 'tcp://'])
    expect(read({ DOCKER_HOST })).toThrow(/DOCKER_HOST is no Docker host/)
  expect(read({ DOCKER_TLS_CA: '/ca' })).toThrow(/DOCKER_TLS_CA needs all of/)
})

test('subnets of Docker networks are IPv4 networks of a usable size', () => {
  const read = (DOCKER_SUBNETS: string) => readConfig([], { ...base, DOCKER_SUBNETS }).DOCKER_SUBNETS
  expect(readConfig([], base).DOCKER_SUBNETS).toEqual(['10.201.0.0/16'])
  expect(read('172.30.0.0/16, 10.9.8.0/24')).toEqual(['172.30.0.0/16', '10.9.8.0/24'])
  for (const wrong of ['10.9.8.1/24', 'fd00::/64', '10.9.8.0/30', '10.9.8.0', '0.0.0.0/0', ','])
    expect(() => read(wrong)).toThrow(/DOCKER_SUBNETS/)
})
