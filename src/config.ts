/**
 * Every setting of the operator: one schema for flags and environment, read once. `--lease-name x` and `LEASE_NAME=x`
 * are the same setting; the flag wins. A secret is no flag, since the arguments of a process are public on its machine: it
 * comes by the environment, or from the file that `<NAME>_FILE` names. This is the only reader of process.env.
 */
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { hostFault } from './backends/docker/host.ts'
import { defaultPool, poolFault } from './backends/docker/subnets.ts'
import { basesOf } from './backends/host-folder.ts'
import { tiersFromJson } from './backends/tiers.ts'
import { matchesHost } from './host-pattern.ts'
import {
  bytes,
  flag,
  host,
  list,
  networks,
  oneOf,
  port,
  sealingKey,
  share,
  someOf,
  span,
  token,
  webAddress,
  whole,
  words,
} from './setting-values.ts'
import { databaseUrlFault, withVerifiedMode } from './store/postgres/database-url.ts'

const subnets = list().superRefine((pool, ctx) => {
  if (pool.length === 0) ctx.addIssue({ code: 'custom', message: 'must name a network like 10.201.0.0/16' })
  for (const network of pool) {
    const fault = poolFault(network)
    if (fault !== undefined) ctx.addIssue({ code: 'custom', message: `"${network}" ${fault}` })
  }
})

const bases = list().transform((entries, ctx) => {
  const found = basesOf(entries)
  if (!('faults' in found)) return found
  for (const message of found.faults) ctx.addIssue({ code: 'custom', message })
  return z.NEVER
})

const databaseUrl = z
  .string()
  .superRefine((url, ctx) => {
    const fault = databaseUrlFault(url)
    if (fault !== undefined) ctx.addIssue({ code: 'custom', message: fault })
  })
  .transform(withVerifiedMode)

/** Backends that a released operator has. */
export const releasedBackends = ['docker', 'process', 'external'] as const

/** Settings that are secrets: never flags, each also readable from a file. */
export const secretSettings: ReadonlySet<string> = new Set(['DATABASE_URL', 'ADMIN_TOKEN', 'SECRETS_KEY'])

/** One line of help for each setting, in the order `--help` shows them. */
export const settingsWith = (backendNames: readonly string[]) => ({
  KUBECONFIG: z.string().optional().describe('Kubeconfig file; without it the service account of the pod'),
  KUBE_CONTEXT: z.string().optional().describe('Context of the kubeconfig; its current one when not given'),
  KUBERNETES_SERVICE_HOST: z.string().optional().describe('API server of the pod; Kubernetes sets it'),
  KUBERNETES_SERVICE_PORT: z.string().prefault('443').describe('Port of it'),
  DATABASE_URL: databaseUrl.describe(
    'PostgreSQL to keep rows in, postgres://user:password@host:5432/database?sslmode=verify-full',
  ),
  MIGRATE: flag()
    .prefault('true')
    .describe('Migrate the database at the start; if not, molecule-operator migrate has to be run before'),
  ADMIN_TOKEN: token(32).optional().describe('Bearer token of admins; without it the admin routes refuse everyone'),
  SECRETS_KEY: sealingKey()
    .optional()
    .describe('Key of secrets in rows, kept as long as the database; only external agents do without'),
  DEPLOYMENT_MODE: oneOf(['self-hosted', 'saas']).prefault('self-hosted').describe('Decides the default tier (3 or 4)'),
  AGENT_NETWORKS: networks()
    .prefault('')
    .describe('Private networks in which external agents may be, 10.0.0.0/8; none when empty'),
  BACKENDS: someOf(backendNames).prefault('external').describe('Backends that are on: where agents may run'),
  DEFAULT_BACKEND: oneOf(backendNames)
    .optional()
    .describe('Backend of a workspace that names none; the first of BACKENDS'),
  TIERS: tiersFromJson
    .prefault('{}')
    .describe(
      'Changes to the limits of tiers, JSON: {"4":{"memory":"8Gi","disk":"20Gi","hostAccess":[],"namespaces":[]}}',
    ),
  WORKSPACE_ROOTS: bases
    .prefault('')
    .describe('Folders of the Docker host in which a workspaceDir may be, /srv/agents/{namespace}; none unless given'),
  PLATFORM_HOST: z.string().prefault('0.0.0.0').describe('Address on which agents reach the operator'),
  PLATFORM_PORT: port().prefault('8080').describe('Port on which agents reach the operator'),
  PLATFORM_URL: webAddress('http://host.docker.internal:8080')
    .optional()
    .describe(
      'URL by which agents reach the operator; http://127.0.0.1:PORT when not given, which no container can reach',
    ),
  DOCKER_HOST: z
    .string()
    .optional()
    .describe('Docker engine, unix:///var/run/docker.sock, which it is unless set, or tcp://host:2376'),
  DOCKER_TLS_CA: z.string().optional().describe('File of the certificate that signed the Docker engine of tcp://'),
  DOCKER_TLS_CERT: z.string().optional().describe("File of the operator's certificate for it"),
  DOCKER_TLS_KEY: z.string().optional().describe('File of the key of that certificate'),
  REGISTRY_AUTH_FILE: z
    .string()
    .optional()
    .describe('File with the credentials of registries, as in a Secret of type kubernetes.io/dockerconfigjson'),
  DOCKER_SUBNETS: subnets
    .prefault(defaultPool.join(','))
    .describe('IPv4 networks out of which each namespace gets Docker networks of 64 addresses'),
  PROCESS_STATE_DIR: z.string().optional().describe('Folder of the process backend'),
  PROCESS_COMMAND: words().optional().describe('What the process backend runs, a JSON array of words'),
  LEADER_ELECT: flag()
    .prefault('true')
    .describe('Take part in leader election; without it, restart the operator after each restore of the API server'),
  LEASE_NAMESPACE: z
    .string()
    .prefault('molecule-system')
    .describe('Namespace of the lease, and of the ConfigMaps that templates of Runtimes name'),
  LEASE_NAME: z.string().prefault('molecule-operator').describe('Name of the lease, and of the row that fences'),
  HEALTH_HOST: z
    .string()
    .optional()
    .describe('Address of /healthz, /readyz and /metrics; 127.0.0.1 when not given, in a pod 0.0.0.0'),
  HEALTH_PORT: port().prefault('8081').describe('Port of /healthz, /readyz and /metrics'),
  WORKERS: whole(1, 1024).prefault('256').describe('Workspaces reconciled at once'),
  MAX_STARTING: whole(1, 100_000)
    .prefault('500')
    .describe('Workspaces of imports with spec.rollout that may be starting at once, in all namespaces together'),
  MAX_WORKSPACES_PER_NAMESPACE: whole(1, 1_000_000)
    .prefault('2500')
    .describe('Workspaces of a namespace; later ones are Stalled with QuotaExceeded'),
  OBJECTS_PER_NAMESPACE: bytes()
    .prefault('32Mi')
    .describe('Bytes held of the Workspaces, OrgImports and PluginInstalls of a namespace'),
  OBJECTS_TOTAL: bytes().prefault('192Mi').describe('The same of all namespaces together'),
  REFERENCES_PER_NAMESPACE: bytes()
    .prefault('32Mi')
    .describe('Bytes held of the Secrets and ConfigMaps that a namespace refers to'),
  REFERENCES_TOTAL: bytes().prefault('128Mi').describe('The same of all namespaces together'),
  LIVENESS_SILENCE: span().prefault('180s').describe('A silent agent is offline after this long'),
  ORPHANS: oneOf(['auto', 'report', 'remove', 'off'])
    .prefault('auto')
    .describe('What is done with orphans: auto reports in the first run on a database and removes in later ones'),
  ORPHAN_GRACE: span().prefault('10m').describe('How long an orphan is held before anything is done'),
  ORPHAN_SHARE: share()
    .prefault('0.2')
    .describe('With a larger share of workspaces missing, orphans are left alone; 1 never holds back'),
  ACTIVITY_RETENTION: span().prefault('7d').describe('Messages and what agents did are kept this long'),
  EVENT_RETENTION: span()
    .prefault('30d')
    .describe('What became of workspaces, their removed rows and revoked tokens are kept this long'),
  SECRETS_FOR_AGENTS: oneOf(['all', 'labelled'])
    .prefault('all')
    .describe(
      'Secrets that specs may refer to: all of an opened namespace, or those labelled molecule.dev/for-agents=true',
    ),
  SOURCE_HOSTS: list()
    .prefault('')
    .describe('Hosts that templates may come from, git.example or *.example; any public one when empty'),
  SOURCE_DEFAULT_HOST: host()
    .optional()
    .describe('Host of the repositories that templates refer to by !external without naming one; one of SOURCE_HOSTS'),
  SOURCE_HTTP_HOSTS: list().prefault('').describe('Hosts of templates that may be spoken to without TLS'),
  SOURCE_NETWORKS: networks()
    .prefault('')
    .describe('Private networks that templates may come from, 10.0.0.0/8; none when empty'),
  OTEL_EXPORTER_OTLP_ENDPOINT: webAddress('http://collector:4318')
    .optional()
    .describe('Collector of traces (OTLP over HTTP), http://host:4318; without it there are none'),
  OTEL_TRACES_SAMPLER_ARG: share().prefault('1').describe('Share of the traces that are kept'),
  LOG_LEVEL: oneOf(['trace', 'debug', 'info', 'warn', 'error']).prefault('info').describe('Least level that is logged'),
})

const tlsFiles = ['DOCKER_TLS_CA', 'DOCKER_TLS_CERT', 'DOCKER_TLS_KEY'] as const

const schemaWith = (backendNames: readonly string[]) =>
  z.object(settingsWith(backendNames)).transform((given, ctx) => {
    const defaultBackend = given.DEFAULT_BACKEND ?? given.BACKENDS[0] ?? 'external'
    const refuse = (message: string, ...path: string[]) => ctx.addIssue({ code: 'custom', message, path })
    if (!given.BACKENDS.includes(defaultBackend))
      refuse(`must be one of BACKENDS: "${defaultBackend}" is not among them`, 'DEFAULT_BACKEND')
    if (given.BACKENDS.includes('process') && (!given.PROCESS_COMMAND || !given.PROCESS_STATE_DIR))
      refuse('the process backend needs PROCESS_COMMAND and PROCESS_STATE_DIR', 'BACKENDS')
    if (given.SECRETS_KEY === undefined && given.BACKENDS.some((name) => name !== 'external'))
      refuse(
        'is not set, and a backend that launches instances seals their secrets with it: openssl rand -base64 32',
        'SECRETS_KEY',
      )
    const tls = tlsFiles.filter((name) => given[name] !== undefined)
    if (tls.length > 0 && tls.length < tlsFiles.length) refuse(`needs all of ${tlsFiles.join(', ')}`, tls[0] ?? '')
    const engine =
      given.DOCKER_HOST === undefined || !given.BACKENDS.includes('docker')
        ? undefined
        : hostFault(given.DOCKER_HOST, tls.length > 0)
    if (engine !== undefined) refuse(engine, 'DOCKER_HOST')
    const standard = given.SOURCE_DEFAULT_HOST === undefined ? null : URL.parse(`https://${given.SOURCE_DEFAULT_HOST}`)
    if (
      standard !== null &&
      given.SOURCE_HOSTS.length > 0 &&
      !given.SOURCE_HOSTS.some((each) => matchesHost(each, standard))
    )
      refuse('must be one of SOURCE_HOSTS', 'SOURCE_DEFAULT_HOST')
    // In a pod the kubelet asks from outside; elsewhere containers on the same machine would reach it.
    const healthHost = given.HEALTH_HOST ?? (given.KUBERNETES_SERVICE_HOST === undefined ? '127.0.0.1' : '0.0.0.0')
    return { ...given, DEFAULT_BACKEND: defaultBackend, HEALTH_HOST: healthHost }
  })

export type Config = z.output<ReturnType<typeof schemaWith>> & {
  /** DATABASE_URL as its file has it by now, where one holds it. Throws a ConfigError. */
  readonly databaseUrl: () => string
}

/** A setting that cannot be used: names it and says what it should be, never its value (it may be a secret). */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/** In a container, loopback is the container itself. */
const isLoopback = (url: string): boolean =>
  /^(localhost|.*\.localhost|127\.\d+\.\d+\.\d+|\[::1\]|0\.0\.0\.0|\[::\])$/.test(new URL(url).hostname)

/** Throws where containers would be given an address of the operator by which they reach themselves alone. */
export function requireReach({ BACKENDS, PLATFORM_URL, PLATFORM_PORT, TIERS }: Config): void {
  // Agents that share the network of the engine's machine may reach the operator there by loopback.
  const onHost = Object.values(TIERS).some(({ hostAccess }) => hostAccess.includes('HostNetwork'))
  if (!BACKENDS.includes('docker') || onHost || (PLATFORM_URL !== undefined && !isLoopback(PLATFORM_URL))) return
  const what =
    PLATFORM_URL === undefined
      ? 'is not set, and containers cannot reach the 127.0.0.1 that it is then'
      : 'is loopback, where a container reaches itself alone'
  throw new ConfigError(
    `PLATFORM_URL ${what}: set http://host.docker.internal:${PLATFORM_PORT} for a Docker engine on this machine`,
  )
}

/**
 * Reads `--name value`, `--name=value` and the environment. `backendNames`: those that BACKENDS may name. Throws a
 * ConfigError that lists every fault at once.
 */
export function readConfig(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  backendNames: readonly string[] = releasedBackends,
): Config {
  const settings = settingsWith(backendNames)
  const given: Record<string, string> = {}
  for (const name of Object.keys(settings)) {
    const value = env[name]
    if (value !== undefined && value !== '') given[name] = value
  }
  const files = new Map([...secretSettings].map((name) => [name, env[`${name}_FILE`] ?? '']))
  for (let i = 0; i < args.length; i++) {
    const [, flagName = '', inline] = /^--([a-z-]+)(?:=(.*))?$/s.exec(args[i] ?? '') ?? []
    const name = flagName.replaceAll('-', '_').toUpperCase()
    const secret = name.replace(/_FILE$/, '')
    if (secretSettings.has(name))
      throw new ConfigError(
        `--${flagName} would show a secret in the list of processes: set ${name}, or --${flagName}-file to a file that holds it`,
      )
    if (!(name in settings) && !(secretSettings.has(secret) && name !== secret))
      // Only as far as the name: what follows may be a secret.
      throw new ConfigError(`unknown argument "${(args[i] ?? '').split('=', 1)[0] ?? ''}"; see --help`)
    const value = inline ?? args[++i]
    if (value === undefined) throw new ConfigError(`--${flagName} needs a value`)
    if (name in settings) given[name] = value
    else files.set(secret, value)
  }
  for (const [name, path] of files) {
    if (path === '') continue
    if (given[name] !== undefined) throw new ConfigError(`${name} and ${name}_FILE are both set: leave one out`)
    given[name] = contentOf(path, name)
  }
  const read = schemaWith(backendNames).safeParse(given)
  if (read.success) return { ...read.data, databaseUrl: readAgain(files.get('DATABASE_URL') ?? '', read.data) }
  const faults = read.error.issues.map((issue) =>
    given[String(issue.path[0])] === undefined && issue.code === 'invalid_type'
      ? `${issue.path.join('.')} is not set: ${settings[issue.path[0] as keyof typeof settings].description}`
      : `${issue.path.join('.')} ${issue.message}`,
  )
  throw new ConfigError(faults.join('; '))
}

const readAgain =
  (path: string, { DATABASE_URL: given }: Pick<Config, 'DATABASE_URL'>) =>
  () => {
    if (path === '') return given
    const { data, error } = databaseUrl.safeParse(contentOf(path, 'DATABASE_URL'))
    if (data === undefined) throw new ConfigError(`DATABASE_URL ${error?.issues[0]?.message ?? 'cannot be used'}`)
    return data
  }

/** Without the line break that editors and `kubectl create secret --from-file` leave at the end. */
function contentOf(path: string, name: string): string {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    throw new ConfigError(`${name}_FILE: ${path} cannot be read (${code})`)
  }
}

/** How the schema is taken back, for a version before. */
export const migrateUsage = 'migrate --to <migration>'

/** How rows of the system before are given away. */
export const adoptUsage = 'adopt --list | --assign <row>=<namespace> | --unassign <row>'
