/** Workspace: one agent, one row, at most one instance. */
import { z } from 'zod'
import * as f from './fields.ts'
import { displayName, role, workspaceDir } from './workspace-identity.ts'
import { compute, files, schedules, channels, memories, categoryRouting } from './workspace-parts.ts'
import { labelNameRule, readyColumn, resourceType, whyColumns } from './kind.ts'
import type { KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { commonStatus, counts } from './status.ts'

/** All ten values of the row's status. */
const phases = [
  'provisioning',
  'online',
  'offline',
  'degraded',
  'failed',
  'paused',
  'hibernating',
  'hibernated',
  'awaiting_agent',
  'removed',
] as const

const backends = ['docker', 'ec2', 'process', 'external'] as const

const hibernation = z.object({
  idleAfter: f.duration().meta({ description: 'How long without a task before it sleeps: 30m.' }),
})

const lifetime = f.ruled(
  z.object({
    expiresAfter: f.duration().meta({ description: 'How long after its creation: 720h.' }).exactOptional(),
    expiresAt: f.instant().meta({ description: 'When it ends: 2027-01-31T18:00:00Z.' }).exactOptional(),
    action: z.enum(['Pause', 'Delete']).default('Pause').meta({ description: 'What happens then.' }),
  }),
  f.exactlyOne('expiresAfter', 'expiresAt'),
)

const deletion = z.object({
  giveUpAfter: f.duration().meta({
    description:
      'How long a deletion waits for a backend that does not answer. After that the instance is written down as leaked and the Workspace goes. Absent: it waits for ever.',
  }),
})

const canvas = z.object({
  x: z.number().min(-1e6).max(1e6).meta({ description: 'Pixels from the left edge.' }),
  y: z
    .number()
    .min(-1e6)
    .max(1e6)
    .meta({ description: 'Pixels from the top edge. Write the key in quotes ("y"): kubectl reads a bare y as true.' }),
  collapsed: z.boolean().default(false).meta({ description: 'Draws it as one card, without its children.' }),
})

const adopt = f.ruled(
  z.object({
    workspaceID: f
      .matching('^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$', 36)
      .meta({
        description:
          'The id (UUID) of a row that becomes this resource: one that an administrator assigned to the namespace, or that a Workspace of it left behind, deleted with Retain.',
      })
      .exactOptional(),
    instanceID: f
      .matching('^i-[0-9a-f]{8,17}$', 19)
      .meta({ description: 'An EC2 instance that is already running. Stalls: no backend has such instances yet.' })
      .exactOptional(),
    containerID: f
      .matching('^[0-9a-f]{12,64}$', 64)
      .meta({
        description: 'A container that is already running, of a row that an administrator assigned to the namespace.',
      })
      .exactOptional(),
    policy: z.enum(['AdoptOnly', 'AdoptOrCreate']).default('AdoptOnly').meta({
      description: 'What happens when there is nothing to adopt: AdoptOnly waits, AdoptOrCreate starts anew.',
    }),
  }),
  f.exactlyOne('workspaceID', 'instanceID', 'containerID'),
)

const fields = z.object({
  displayName: displayName().exactOptional(),
  role: role().exactOptional(),
  parentRef: f
    .workspaceRef('The workspace above it. The org chart is the communication topology. Absent: a root.')
    .exactOptional(),
  runtime: f
    .labelName()
    .meta({
      description: 'A Runtime, which says what image runs. Absent: the Runtime marked as default. Never replaced.',
    })
    .exactOptional(),
  template: z
    .object({
      ref: f.line(253, 1).meta({
        description:
          'What it is made from. configmap/NAME is a ConfigMap of the same namespace, whose keys are files below /configs, with "/" written as "__"; files of spec.files win. Any other text is a name that is kept, and no content.',
      }),
    })
    .meta({ description: 'The identity that a restart must restore.' })
    .exactOptional(),
  model: f
    .line(100, 1)
    .meta({ description: "The model the agent uses. Absent: the Runtime's default model." })
    .exactOptional(),
  tier: z
    .int()
    .min(1)
    .max(4)
    .meta({ description: 'Limits: 1 (512 MiB, half a CPU, read-only) to 4 (4 GiB, 4 CPUs). Absent: the default tier.' })
    .exactOptional(),
  backend: z
    .enum(backends)
    .meta({
      description: "Where the instance lives. Absent: the operator's default. Cannot change. No operator has ec2 yet.",
    })
    .exactOptional(),
  power: z.enum(['Running', 'Paused']).default('Running').meta({
    description: 'Paused stops the instance and keeps its configuration; descendants pause with it.',
  }),
  suspend: f.suspend,
  hibernation: hibernation.meta({ description: 'Sleep when idle, wake on traffic.' }).exactOptional(),
  lifetime: lifetime.meta({ description: 'An end set in advance.' }).exactOptional(),
  idleInterval: f
    .duration()
    .meta({ description: 'How often an idle agent is told what its file prompts/idle.md says. Absent: 10m.' })
    .exactOptional(),
  updateStrategy: z.enum(['WhenIdle', 'Immediate', 'OnRestart']).default('WhenIdle').meta({
    description: 'When a changed spec, secret, image or template replaces the instance.',
  }),
  childrenPolicy: z.enum(['Orphan', 'Cascade']).default('Orphan').meta({
    description: 'What deleting this one does to its descendants: they keep running, or go first.',
  }),
  deletion: deletion.meta({ description: 'Bounds of a deletion.' }).exactOptional(),
  deletionPolicy: f.deletionPolicy('Delete removes the instance and its volumes; Retain leaves them as they are.'),
  env: f.listBy('name', f.envVar, 256, 'Environment of the agent; wins over envFrom.').exactOptional(),
  envFrom: f.atomic(f.envSource, 32, 'Whole Secrets and ConfigMaps as environment; later ones win.').exactOptional(),
  files: files.exactOptional(),
  workspaceDir: workspaceDir().exactOptional(),
  workspaceAccess: z.enum(['none', 'read_only', 'read_write']).default('none').meta({
    description: 'How workspaceDir is mounted at /workspace; none mounts a volume of its own instead.',
  }),
  compute: compute.exactOptional(),
  delivery: z.enum(['push', 'poll']).default('push').meta({
    description: 'Whether messages are sent to the agent or wait until it asks.',
  }),
  maxConcurrentTasks: z.int().min(1).max(100).default(1).meta({ description: 'Tasks the agent works on at once.' }),
  schedules: schedules.exactOptional(),
  channels: channels.exactOptional(),
  memories: memories.exactOptional(),
  categoryRouting: categoryRouting.exactOptional(),
  canvas: canvas.meta({ description: 'Where it is drawn. Drawing only: nothing else follows.' }).exactOptional(),
  updateRing: z.enum(['production', 'canary']).default('production').meta({
    description:
      'canary workspaces get new images and plugins first; production ones follow once those have proved good.',
  }),
  adopt: adopt
    .meta({ description: 'Take over what exists already, with the volumes it has. Only at creation.' })
    .exactOptional(),
})

const fixed = (field: string, why: string): f.Rule<unknown> => ({
  cel: `has(self.${field}) == has(oldSelf.${field}) && (!has(self.${field}) || self.${field} == oldSelf.${field})`,
  message: `${field} cannot change after creation (nor be set or removed): ${why}`,
})

export const workspaceSpec = f.ruled(
  fields,
  fixed('backend', 'it would move the instance. Delete the Workspace and create it anew'),
  fixed('adopt', 'what was taken over stays. Delete the Workspace with deletionPolicy Retain and create it anew'),
  {
    cel: "self.workspaceAccess == 'none' || has(self.workspaceDir)",
    message: 'workspaceAccess needs workspaceDir: name the folder, or set workspaceAccess to none',
    holds: (spec) => spec.workspaceAccess === 'none' || spec.workspaceDir !== undefined,
  },
  {
    cel: "!has(self.workspaceDir) || !has(self.backend) || self.backend == 'docker'",
    message: 'workspaceDir is for backend docker only: leave it out',
    holds: (spec) => spec.workspaceDir === undefined || (spec.backend ?? 'docker') === 'docker',
  },
  {
    cel: "!has(self.compute) || !has(self.backend) || self.backend == 'ec2'",
    message: 'compute is for backend ec2 only: leave it out',
    holds: (spec) => spec.compute === undefined || (spec.backend ?? 'ec2') === 'ec2',
  },
)

const effectivePower = z.object({
  state: z.enum(['Running', 'Paused', 'Hibernated']).meta({ description: 'What holds, all considered.' }),
  reason: f.bounded(64).meta({ description: 'Why: AsAsked, AncestorPaused, Suspended, Idle or Expired.' }),
  since: f.time('Since when.').exactOptional(),
  by: f.bounded(63).meta({ description: 'The ancestor that caused it.' }).exactOptional(),
})

const instance = z.object({
  backend: f.bounded(32).meta({ description: 'Where it lives. The first record decides.' }),
  id: f.bounded(256).meta({ description: "The backend's own name for it." }).exactOptional(),
  address: f.bounded(2048).meta({ description: 'Where the operator reaches the agent.' }).exactOptional(),
  specHash: f.bounded(128).meta({ description: 'Digest of the desired state it was started with.' }).exactOptional(),
  startedAt: f.time('When it started.').exactOptional(),
  restarts: f.count('How often it was replaced or came back.').exactOptional(),
})

const image = z.object({
  ref: f.bounded(512).meta({ description: 'The image reference.' }).exactOptional(),
  digest: f.bounded(128).meta({ description: 'The digest that runs.' }).exactOptional(),
  current: z.boolean().meta({ description: 'Whether it is the one the Runtime asks for.' }).exactOptional(),
})

const lastFailure = z.object({
  reason: f.bounded(128).meta({ description: 'Why, as one CamelCase word.' }),
  exitCode: z
    .int()
    .min(-1)
    .max(2 ** 31 - 1)
    .meta({ description: 'Exit code of the instance, where it ended.' })
    .exactOptional(),
  at: f.time('When.'),
  logTail: f.bounded(8192).meta({ description: 'The last lines it wrote, secrets taken out.' }).exactOptional(),
})

const limits = z.object({
  memory: f.bounded(32).meta({ description: 'Memory: 2Gi.' }),
  cpus: z.number().min(0).max(4096).meta({ description: 'CPUs.' }),
  pids: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .meta({ description: 'Processes and threads.' }),
})

const template = z.object({
  identity: f.bounded(253).meta({ description: 'The template the instance was made from.' }).exactOptional(),
  revision: f.bounded(253).meta({ description: 'Its revision.' }).exactOptional(),
  source: f.bounded(1024).meta({ description: 'Where it came from.' }).exactOptional(),
})

const workspaceStatus = z.object({
  ...commonStatus,
  workspaceID: f.bounded(36).meta({ description: 'The id of its row.' }).exactOptional(),
  phase: z.enum(phases).meta({ description: 'The status of its row.' }).exactOptional(),
  runtime: f.bounded(63).meta({ description: 'The Runtime in use, defaults applied.' }).exactOptional(),
  model: f.bounded(100).meta({ description: 'The model in use, defaults applied.' }).exactOptional(),
  tier: z.int().min(1).max(4).meta({ description: 'The tier in use, defaults applied.' }).exactOptional(),
  effectivePower: effectivePower.meta({ description: 'Whether it runs, and why.' }).exactOptional(),
  instance: instance.meta({ description: 'The instance, as last observed.' }).exactOptional(),
  image: image.meta({ description: 'The image of the instance.' }).exactOptional(),
  template: template.meta({ description: 'The template of the instance.' }).exactOptional(),
  limits: limits.meta({ description: 'Hard limits of the instance, as its tier gives them.' }).exactOptional(),
  lastFailure: lastFailure
    .meta({ description: 'The last time the instance failed, and its last words.' })
    .exactOptional(),
  parts: counts(
    { schedules: 'Schedules that run.', channels: 'Channels that have their row.' },
    'What of the spec is there.',
  ).exactOptional(),
  children: counts({ total: 'Children.', ready: 'Children that are Ready.' }, 'Its direct children.').exactOptional(),
})

export type WorkspaceSpec = f.Frozen<z.output<typeof workspaceSpec>>
export type WorkspaceStatus = f.Frozen<z.output<typeof workspaceStatus>>
export type Workspace = KubeObject<WorkspaceSpec, WorkspaceStatus>

const unsupported: readonly f.Unsupported<WorkspaceSpec>[] = [
  { field: 'compute', when: (spec) => spec.compute !== undefined },
]

/** Fields this spec asks for that no controller acts on yet, as `spec.adopt`. */
export const unsupportedFields = (spec: WorkspaceSpec): string[] => f.askedFor(unsupported, spec)

export const workspaceKind: KindDefinition = {
  kind: 'Workspace',
  plural: 'workspaces',
  singular: 'workspace',
  shortNames: ['ws'],
  namespaced: true,
  description: 'A Workspace is one agent: one row in the database and at most one running instance.',
  spec: workspaceSpec,
  status: workspaceStatus,
  nameLength: 63,
  rootRules: [
    labelNameRule,
    {
      rule: '!has(self.spec.parentRef) || self.spec.parentRef.name != self.metadata.name',
      fieldPath: '.spec.parentRef.name',
      message: 'must name another Workspace: nobody reports to themselves',
    },
  ],
  columns: [
    readyColumn,
    { name: 'Phase', type: 'string', jsonPath: '.status.phase', description: 'The status of its row.' },
    { name: 'Runtime', type: 'string', jsonPath: '.status.runtime', description: 'The Runtime in use.' },
    { name: 'Tier', type: 'integer', jsonPath: '.status.tier', description: 'The tier in use.' },
    { name: 'Backend', type: 'string', jsonPath: '.status.instance.backend', description: 'Where its instance lives.' },
    { name: 'Parent', type: 'string', jsonPath: '.spec.parentRef.name', description: 'The workspace above it.' },
    { name: 'Instance', type: 'string', jsonPath: '.status.instance.id', description: 'Its instance.', priority: 1 },
    { name: 'Image', type: 'string', jsonPath: '.status.image.ref', description: 'Its image.', priority: 1 },
    ...whyColumns,
  ],
  unsupported,
}

export const workspaceType = resourceType<WorkspaceSpec, WorkspaceStatus>(workspaceKind)
