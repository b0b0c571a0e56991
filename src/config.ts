/**
 * Every setting of the operator: one schema for flags and environment, read once. `--lease-name x` and `LEASE_NAME=x`
 * are the same setting; the flag wins. A secret is no flag, since the arguments of a process are public on its machine: it
 * comes by the environment, or from the file that `<NAME>_FILE` names. This is the only reader of process.env.
 */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { z } from 'zod'
import { hostFault } from './backends/docker/host.ts'
import { defaultPool, poolFault } from './backends/docker/subnets.ts'
import { basesOf } from './backends/host-folder.ts'
import { defaultTiers, tiersFromJson } from './backends/tiers.ts'
import { durationPattern, parseDuration } from './duration.ts'

const port = z.coerce.number().int().min(0).max(65_535)
const flag = z.union([z.literal('true'), z.literal('false')]).transform((text) => text === 'true')
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== ''),
)
const isNetwork = (text: string) => {
  const [, address = '', bits = ''] = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(text) ?? []
  return isIP(address) !== 0 && Number(bits) <= (isIP(address) === 4 ? 32 : 128)
}
const networks = list.refine((words) => words.every(isNetwork), 'is a list of networks like 10.0.0.0/8')
const span = z.string().regex(new RegExp(durationPattern), 'is a duration like 90s or 30m').transform(parseDuration)
const units = { Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3 } as const
const bytes = z
  .string()
  .regex(/^[1-9]\d{0,5}(Ki|Mi|Gi)$/, 'is a size like 512Ki, 32Mi or 1Gi')
  .transform((text) => Number(text.slice(0, -2)) * units[text.slice(-2) as keyof typeof units])
const argv = z.string().transform((text, ctx) => {
  try {
    return z.array(z.string()).min(1).parse(JSON.parse(text))
  } catch {
    ctx.addIssue({ code: 'custom', message: 'is a JSON array of strings, ["node","agent.js"]' })
    return z.NEVER
  }
})

/** Decoded leniently by Node.js: what does not encode to the same text again was no base64. */
const sealingKey = z.string().transform((text, ctx) => {
  const key = Buffer.from(text, 'base64')
  if (key.length === 32 && key.toString('base64') === text) return key
  ctx.addIssue({ code: 'custom', message: 'is 32 bytes in base64: openssl rand -base64 32' })
  return z.NEVER
})

const subnets = list.superRefine((pool, ctx) => {
  if (pool.length === 0) ctx.addIssue({ code: 'custom', message: 'names no network' })
  for (const network of pool) {
    const fault = poolFault(network)
    if (fault !== undefined) ctx.addIssue({ code: 'custom', message: `"${network}" ${fault}` })
  }
})

const bases = list.transform((entries, ctx) => {
  const found = basesOf(entries)
  if (!('faults' in found)) return found
  for (const message of found.faults) ctx.addIssue({ code: 'custom', message })
  return z.NEVER
})

/** Backends that a released operator has. */
export const releasedBackends = ['docker', 'process', 'external'] as const

/** Settings that are secrets: never flags, each also readable from a file. */
const secrets: ReadonlySet<string> = new Set(['DATABASE_URL', 'ADMIN_TOKEN', 'SECRETS_KEY'])

/** One line of help for each setting, in the order `--help` shows them. */
const settingsWith = (backendNames: readonly string[]) => ({
  KUBECONFIG: z.string().optional().describe('Kubeconfig file; without it the service account of the pod'),
  KUBE_CONTEXT: z.string().optional().describe('Context of the kubeconfig; its current one when not given'),
  KUBERNETES_SERVICE_HOST: z.string().optional().describe('API server of the pod; Kubernetes sets it'),
  KUBERNETES_SERVICE_PORT: z.string().default('443').describe('Port of it'),
  DATABASE_URL: z.string().min(1).describe('PostgreSQL to keep rows in, postgres://user:password@host/database'),
  MIGRATE: flag.default(true).describe('Migrate the database at the start'),
  ADMIN_TOKEN: z
    .string()
    .min(32, 'has at least 32 characters')
    .optional()
    .describe('Bearer token of admins; without it the admin routes refuse everyone'),
  SECRETS_KEY: sealingKey
    .optional()
    .describe('Key of secrets in rows, 32 bytes in base64: openssl rand -base64 32; only external agents do without'),
  DEPLOYMENT_MODE: z.enum(['self-hosted', 'saas']).default('self-hosted').describe('Decides the default tier (3 or 4)'),
  AGENT_NETWORKS: networks
    .default([])
    .describe('Private networks in which external agents may be, 10.0.0.0/8; none when empty'),
  BACKENDS: list
    .pipe(z.array(z.enum(backendNames)).min(1))
    .default(['external'])
    .describe(`Backends that are on: ${backendNames.join(', ')}`),
  DEFAULT_BACKEND: z
    .enum(backendNames)
    .optional()
    .describe('Backend of a workspace that names none; the first of BACKENDS'),
  TIERS: tiersFromJson
    .default(defaultTiers)
    .describe(
      'Changes to the limits of tiers, JSON: {"4":{"memory":"8Gi","disk":"20Gi","hostAccess":[],"namespaces":[]}}',
    ),
  WORKSPACE_ROOTS: bases
    .default([])
    .describe('Folders of the Docker host in which a workspaceDir may be, /srv/agents/{namespace}; none unless given'),
  PLATFORM_HOST: z.string().default('0.0.0.0').describe('Address on which agents reach the operator'),
  PLATFORM_PORT: port.default(8080).describe('Port on which agents reach the operator'),
  PLATFORM_URL: z
    .url()
    .optional()
    .describe('URL by which agents reach the operator; http://127.0.0.1:PORT when not given'),
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
    .default(defaultPool)
    .describe('IPv4 networks out of which each namespace gets Docker networks of 64 addresses'),
  PROCESS_STATE_DIR: z.string().optional().describe('Folder of the process backend'),
  PROCESS_COMMAND: argv.optional().describe('What the process backend runs, a JSON array of words'),
  LEADER_ELECT: flag.default(true).describe('Take part in leader election'),
  LEASE_NAMESPACE: z
    .string()
    .default('molecule-system')
    .describe('Namespace of the lease, and of the ConfigMaps that templates of Runtimes name'),
  LEASE_NAME: z.string().default('molecule-operator').describe('Name of the lease, and of the row that fences'),
  HEALTH_HOST: z
    .string()
    .optional()
    .describe('Address of /healthz, /readyz and /metrics; 127.0.0.1 when not given, in a pod 0.0.0.0'),
  HEALTH_PORT: port.default(8081).describe('Port of /healthz, /readyz and /metrics'),
  WORKERS: z.coerce.number().int().min(1).max(1024).default(256).describe('Workspaces reconciled at once'),
  MAX_STARTING: z.coerce
    .number()
    .int()
    .min(1)
    .max(100_000)
    .default(500)
    .describe('Workspaces of imports with spec.rollout that may be starting at once, in all namespaces together'),
  MAX_WORKSPACES_PER_NAMESPACE: z.coerce
    .number()
    .int()
    .min(1)
    .max(1_000_000)
    .default(2500)
    .describe('Workspaces of a namespace; later ones are Stalled with QuotaExceeded'),
  OBJECTS_PER_NAMESPACE: bytes
    .default(32 * units.Mi)
    .describe('Bytes held of the Workspaces, OrgImports and PluginInstalls of a namespace'),
  OBJECTS_TOTAL: bytes.default(192 * units.Mi).describe('The same of all namespaces together'),
  REFERENCES_PER_NAMESPACE: bytes
    .default(32 * units.Mi)
    .describe('Bytes held of the Secrets and ConfigMaps that a namespace refers to'),
  REFERENCES_TOTAL: bytes.default(128 * units.Mi).describe('The same of all namespaces together'),
  LIVENESS_SILENCE: span.default(parseDuration('180s')).describe('A silent agent is offline after this long'),
  ORPHANS: z
    .enum(['auto', 'report', 'remove', 'off'])
    .default('auto')
    .describe('What is done with orphans: auto reports in the first run on a database and removes in later ones'),
  ORPHAN_GRACE: span.default(parseDuration('10m')).describe('How long an orphan is held before anything is done'),
  ORPHAN_SHARE: z.coerce
    .number()
    .min(0)
    .max(1)
    .default(0.2)
    .describe('With a larger share of workspaces missing, orphans are left alone; 1 never holds back'),
  ACTIVITY_RETENTION: span.default(parseDuration('7d')).describe('Messages and what agents did are kept this long'),
  EVENT_RETENTION: span
    .default(parseDuration('30d'))
    .describe('What became of workspaces, their removed rows and revoked tokens are kept this long'),
  SECRETS_FOR_AGENTS: z
    .enum(['all', 'labelled'])
    .default('all')
    .describe(
      'Secrets that specs may refer to: all of an opened namespace, or those labelled molecule.dev/for-agents=true',
    ),
  SOURCE_HOSTS: list
    .default([])
    .describe('Hosts that templates may come from, git.example or *.example; any public one when empty'),
  SOURCE_HTTP_HOSTS: list.default([]).describe('Hosts of templates that may be spoken to without TLS'),
  SOURCE_NETWORKS: networks
    .default([])
    .describe('Private networks that templates may come from, 10.0.0.0/8; none when empty'),
  OTEL_EXPORTER_OTLP_ENDPOINT: z
    .url()
    .optional()
    .describe('Collector of traces (OTLP over HTTP), http://host:4318; without it there are none'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number().min(0).max(1).default(1).describe('Share of the traces that are kept'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info').describe('Least level that is logged'),
})

const tlsFiles = ['DOCKER_TLS_CA', 'DOCKER_TLS_CERT', 'DOCKER_TLS_KEY'] as const

const schemaWith = (backendNames: readonly string[]) =>
  z.object(settingsWith(backendNames)).transform((given, ctx) => {
    const defaultBackend = given.DEFAULT_BACKEND ?? given.BACKENDS[0] ?? 'external'
    const refuse = (message: string, ...path: string[]) => ctx.addIssue({ code: 'custom', message, path })
    if (!given.BACKENDS.includes(defaultBackend)) refuse(`"${defaultBackend}" is not among BACKENDS`, 'DEFAULT_BACKEND')
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
    // In a pod the kubelet asks from outside; elsewhere containers on the same machine would reach it.
    const healthHost = given.HEALTH_HOST ?? (given.KUBERNETES_SERVICE_HOST === undefined ? '127.0.0.1' : '0.0.0.0')
    return { ...given, DEFAULT_BACKEND: defaultBackend, HEALTH_HOST: healthHost }
  })

export type Config = z.output<ReturnType<typeof schemaWith>>

/** A setting that cannot be used: names it and says what it should be, never its value (it may be a secret). */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
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
  const files = new Map([...secrets].map((name) => [name, env[`${name}_FILE`] ?? '']))
  for (let i = 0; i < args.length; i++) {
    const [, flagName = '', inline] = /^--([a-z-]+)(?:=(.*))?$/s.exec(args[i] ?? '') ?? []
    const name = flagName.replaceAll('-', '_').toUpperCase()
    const secret = name.replace(/_FILE$/, '')
    if (secrets.has(name))
      throw new ConfigError(
        `--${flagName} would show a secret in the list of processes: set ${name}, or --${flagName}-file to a file that holds it`,
      )
    if (!(name in settings) && !(secrets.has(secret) && name !== secret))
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
  if (read.success) return read.data
  const faults = read.error.issues.map((issue) =>
    given[String(issue.path[0])] === undefined && issue.code === 'invalid_type'
      ? `${issue.path.join('.')} is not set: ${settings[issue.path[0] as keyof typeof settings].description}`
      : `${issue.path.join('.')} ${issue.message}`,
  )
  throw new ConfigError(faults.join('; '))
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

/** How rows of the system before are given away. */
export const adoptUsage = 'adopt --list | --assign <row>=<namespace> | --unassign <row>'

/** The text of `--help`. */
export function helpText(): string {
  const rows = Object.entries(settingsWith(releasedBackends)).map(([name, setting]) => {
    const flagName = `--${name.toLowerCase().replaceAll('_', '-')}${secrets.has(name) ? '-file' : ''}`
    return `  ${flagName.padEnd(22)} ${name.padEnd(20)} ${setting.description ?? ''}`
  })
  const about =
    'A secret is no flag: it comes by the environment, or from the file that its -file flag or <NAME>_FILE names.'
  return `molecule-operator run|migrate|version [settings]\nmolecule-operator ${adoptUsage} [settings]\n\n${about}\n\n  flag                   environment\n${rows.join('\n')}\n`
}
