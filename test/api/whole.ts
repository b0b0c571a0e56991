/** Legal specs that together say everything each kind can say: what the sweep spoils, leaf by leaf. */
import type { Json, Kind } from './requests.ts'

const key = { name: 'settings', key: 'a.txt', optional: true }
const env = [
  { name: 'PLAIN', value: 'a' },
  { name: 'SECRET', valueFrom: { secretKeyRef: key } },
]
const digest = `sha256:${'a'.repeat(64)}`

const workspace: Json = {
  displayName: 'Ada',
  role: 'Counts.\n',
  parentRef: { name: 'boss' },
  runtime: 'claude-code',
  template: { ref: 'analyst' },
  model: 'sonnet',
  tier: 3,
  backend: 'docker',
  power: 'Running',
  suspend: false,
  hibernation: { idleAfter: '30m' },
  lifetime: { expiresAfter: '30d', action: 'Pause' },
  idleInterval: '15m',
  updateStrategy: 'WhenIdle',
  childrenPolicy: 'Orphan',
  deletion: { giveUpAfter: '1h' },
  deletionPolicy: 'Delete',
  env,
  envFrom: [{ prefix: 'A_', secretRef: { name: 'keys', optional: false } }],
  files: [{ path: 'prompts/a.md', configMapKeyRef: key, mode: 420 }],
  workspaceDir: '/srv/x',
  workspaceAccess: 'read_write',
  delivery: 'push',
  maxConcurrentTasks: 2,
  schedules: [{ name: 'daily', cron: '30 9 * * 1-5', timezone: 'Europe/Berlin', prompt: 'Report.', enabled: true }],
  channels: [
    {
      name: 'news',
      type: 'slack',
      config: { channel_id: 'C1' },
      secretRef: { name: 'slack' },
      configFrom: env,
      allowedUsers: ['U1'],
      enabled: true,
    },
  ],
  memories: [{ content: 'The sky is blue.', scope: 'TEAM' }],
  categoryRouting: { ui: ['Bea'] },
  canvas: { x: 1.5, y: -2, collapsed: true },
  updateRing: 'canary',
  adopt: { workspaceID: '01234567-89ab-cdef-0123-456789abcdef', policy: 'AdoptOrCreate' },
}

const policies = {
  target: { parentRef: { name: 'boss' } },
  env: { from: [{ prefix: 'A_', secretRef: { name: 'keys' } }, { configMapRef: { name: 'plain' } }] },
  secretsFrom: [{ node: 'A/B', secretRef: { name: 'keys' } }],
  existing: 'Fail',
  update: 'Converge',
  prune: 'Orphan',
  renames: { 'A/B': 'A/C' },
  exclude: ['A/D'],
  strict: true,
  approvedPlan: '0123456789abcdef0123456789abcdef',
  approval: 'Auto',
  maxDeletes: 3,
  rollout: { maxInFlight: 5, order: 'TopDown' },
  dryRun: false,
  suspend: false,
  deletionPolicy: 'Retain',
}
const inline = {
  name: 'Acme',
  description: 'Counts.\n',
  template_schema_version: 1,
  defaults: { tier: 2 },
  workspaces: [{ name: 'A' }],
  global_memories: [{ content: 'The sky is blue.' }],
  required_env: ['A', { any_of: ['B', 'C'] }],
  recommended_env: ['D'],
}
const git = (ref: Json) => ({
  url: 'https://git.example/a/b',
  ref,
  path: 'orgs/acme',
  secretRef: { name: 'git' },
  credentialsFor: ['https://git.example/a'],
  interval: '5m',
  verify: { secretRef: { name: 'signers' } },
})

const plugin: Json = {
  source: 'github://example/careful-bash',
  ref: 'v1.2.0',
  pluginName: 'careful-bash',
  track: 'tag:latest',
  targets: {
    names: ['a'],
    selector: { matchLabels: { ring: 'one' }, matchExpressions: [{ key: 'b', operator: 'In', values: ['c'] }] },
  },
  integrity: { treeSha256: 'a'.repeat(64) },
  interval: '2h',
  updatePolicy: 'Manual',
  approvedRevision: 'b'.repeat(40),
  tagMovePolicy: 'Hold',
  canary: { ring: 'canary', soak: '1h' },
  restart: 'Auto',
  runtimeCheck: 'Enforce',
  suspend: false,
  deletionPolicy: 'Delete',
}

const runtime: Json = {
  image: 'registry.example/agents/claude-code:1.4',
  digest,
  requireDigest: true,
  default: true,
  defaultModel: 'sonnet',
  models: [{ id: 'sonnet', name: 'Sonnet', requiredEnv: ['A'] }],
  requiredEnv: ['B'],
  bootDeadline: '5m',
  restartBusyAfter: '2h',
  platform: 'linux/amd64',
  template: { ref: 'x' },
  sessionsPath: '/home/agent/.claude/sessions',
  rollout: 'WhenIdle',
  maxUnavailable: 2,
  canaryNamespaces: ['canaries'],
  soak: '5m',
  suspend: false,
  deletionPolicy: 'Delete',
}

export const whole: Readonly<Record<Kind, readonly Json[]>> = {
  Workspace: [
    workspace,
    {
      backend: 'ec2',
      compute: {
        instanceType: 't3.medium',
        rootVolumeGiB: 40,
        subnetId: 'subnet-0123456789abcdef0',
        securityGroupIds: ['sg-0123456789abcdef0'],
        dataPersistence: 'Auto',
      },
      env: [{ name: 'PLAIN', valueFrom: { configMapKeyRef: key } }],
      channels: [
        { name: 'news', type: 'slack', configFrom: [{ name: 'bot_token', valueFrom: { configMapKeyRef: key } }] },
      ],
      envFrom: [{ configMapRef: { name: 'plain', optional: true } }],
      adopt: { instanceID: 'i-0123456789abcdef0' },
    },
    {
      env: [{ name: 'SECRET', valueFrom: { secretKeyRef: key } }],
      channels: [
        { name: 'news', type: 'slack', configFrom: [{ name: 'bot_token', valueFrom: { secretKeyRef: key } }] },
      ],
      lifetime: { expiresAt: '2030-01-01T00:00:00Z' },
      adopt: { containerID: '0123456789ab' },
    },
  ],
  OrgImport: [
    { source: { inline }, ...policies },
    {
      source: { configMapRef: { name: 'acme', key: 'org.yaml', archiveKey: 'all.tgz' } },
      env: { from: [{ configMapRef: { name: 'plain' } }] },
    },
    { source: { git: git({ branch: 'main' }) } },
    { source: { git: git({ tag: 'v1' }) } },
    { source: { git: git({ semver: '>=1.2.0 <2' }) } },
    { source: { git: git({ commit: 'c'.repeat(40) }) } },
    { source: { sourceRef: { kind: 'GitRepository', name: 'acme', path: 'orgs/acme' } } },
  ],
  PluginInstall: [plugin],
  Runtime: [runtime],
}
