/** The operator in the process of a test, with backends of the test's own. */
import { randomBytes } from 'node:crypto'
import { afterAll } from 'vitest'
import type { Backend } from '../../src/backends/backend.ts'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { FakeBackend } from '../../src/backends/fake/backend.ts'
import { readConfig, releasedBackends } from '../../src/config.ts'
import { freePort, onFreePorts } from '../../src/dev/server-process.ts'
import { runOperator } from '../../src/operator.ts'
import { createLogger, type Logger } from '../../src/telemetry/log.ts'
import { operatorKubeconfig } from './cluster.ts'
import { until } from './until.ts'

export interface TestOperator {
  readonly platformUrl: string
  /** Of /metrics. */
  readonly healthUrl: string
  /** Resolves when it has ended; throws why, if it failed. */
  readonly ended: Promise<void>
  stop(): Promise<void>
}

export interface OperatorSettings {
  readonly databaseUrl: string
  /** Beside those of the operator's own that `env` names. */
  readonly backends: readonly Backend[]
  readonly env?: Readonly<Record<string, string>>
  /** Stdout, at the level of TEST_LOG_LEVEL, unless given. */
  readonly log?: Logger
}

export const adminToken = randomBytes(32).toString('hex')
/** One for all operators of a file, as replicas have it. */
export const secretsKey = randomBytes(32).toString('base64')

/** Starts one and waits until it is ready. Stopped after the file unless it was before. */
export function startOperator(settings: OperatorSettings): Promise<TestOperator> {
  return onFreePorts(() => startOnce(settings))
}

async function startOnce({ databaseUrl, backends, env = {}, ...more }: OperatorSettings): Promise<TestOperator> {
  const [platformPort, healthPort] = [await freePort(), await freePort()]
  const names = backends.map(({ name }) => name)
  // Containers come in by a bridge, not by loopback; a fake that stands in for the engine has none.
  const ofContainers = {
    PLATFORM_HOST: '0.0.0.0',
    PLATFORM_URL: `http://host.docker.internal:${platformPort}`,
  }
  const settings = {
    KUBECONFIG: await operatorKubeconfig(),
    DATABASE_URL: databaseUrl,
    ADMIN_TOKEN: adminToken,
    SECRETS_KEY: secretsKey,
    BACKENDS: names.join(','),
    DEFAULT_BACKEND: names.includes('fake') ? 'fake' : (names[0] ?? ''),
    PLATFORM_HOST: '127.0.0.1',
    PLATFORM_PORT: String(platformPort),
    HEALTH_HOST: '127.0.0.1',
    HEALTH_PORT: String(healthPort),
    LEASE_NAMESPACE: 'test-leases',
    LEASE_NAME: `test-${randomBytes(4).toString('hex')}`,
    WORKERS: '32',
    ...(env['BACKENDS']?.includes('docker') === true && !names.includes('docker') && ofContainers),
    ...env,
  }
  const config = readConfig([], settings, [...releasedBackends, ...names])
  const log = more.log ?? createLogger(process.env['TEST_LOG_LEVEL'] ?? 'error')
  const abort = new AbortController()
  const opened = Object.fromEntries(backends.map((backend) => [backend.name, () => backend]))
  const ended = runOperator(config, log, abort.signal, opened)
  ended.catch(() => undefined)
  const stop = async () => {
    abort.abort()
    await ended.catch(() => undefined)
  }
  afterAll(stop)
  const healthUrl = `http://127.0.0.1:${healthPort}`
  const answers = async () => (await fetch(`${healthUrl}/readyz`)).ok
  const ready = until(answers, { what: 'the operator to be ready', within: 60_000 })
  // One that ended instead says why, and nobody waits any more.
  ready.catch(() => undefined)
  await Promise.race([ready, ended])
  return { platformUrl: `http://127.0.0.1:${platformPort}`, healthUrl, ended, stop }
}

/** A fake backend whose instances register at once with their token. */
export const fakeWithAgents = (): FakeBackend => new FakeBackend({ onRunning: registerAt })
