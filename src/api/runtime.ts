/** Runtime: one entry of the catalog, with its pinned image. Cluster-scoped. */
import { z } from 'zod'
import * as f from './fields.ts'
import { labelNameRule, readyColumn, resourceType, whyColumns } from './kind.ts'
import type { KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { commonStatus, counts } from './status.ts'

const requiredEnv = (description: string) => f.setOf(f.envName(), 64, description)

/** A registry, which has a dot, a port or is `localhost`; a path in lower case; tag and digest. */
const imageName =
  '^(([A-Za-z0-9-]+[.:][A-Za-z0-9.:-]*|localhost)/)?[a-z0-9][a-z0-9._/-]*(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@[A-Za-z0-9:]+)?$'

const model = z.object({
  id: f.line(100, 1).meta({ description: 'What spec.model of a Workspace says.' }),
  name: f.line(255).meta({ description: 'What people read.' }).exactOptional(),
  requiredEnv: requiredEnv('Variables an agent needs with this model, instead of spec.requiredEnv.').exactOptional(),
})

const runtimeSpec = f.ruled(
  z.object({
    image: f
      .ruled(f.matching('^[A-Za-z0-9][A-Za-z0-9._:/@-]*$', 512, 1), {
        cel: `self.matches(r'${imageName}')`,
        message:
          'must be an image name in lower case, with a registry where it is pulled: registry.example/team/agent:1',
        holds: (image) => new RegExp(imageName).test(image),
      })
      .meta({ description: 'Image reference without a digest: registry.example/agents/claude-code:1.4.' }),
    digest: f
      .sha256('sha256:')
      .meta({ description: 'Pins the image. Applying another digest promotes it.' })
      .exactOptional(),
    requireDigest: z.boolean().default(false).meta({ description: 'Refuses to run what is not pinned.' }),
    default: z
      .boolean()
      .default(false)
      .meta({ description: 'Taken by Workspaces that name no runtime. At most one Runtime may say so.' }),
    defaultModel: f
      .line(100, 1)
      .meta({
        description:
          'For Workspaces that name no model. Absent: sonnet for claude-code, else anthropic:claude-opus-4-7.',
      })
      .exactOptional(),
    models: f.listBy('id', model, 64, 'The models it can work with. Absent or empty: any.').exactOptional(),
    requiredEnv: requiredEnv('Variables an agent needs: without them it is not started.').exactOptional(),
    bootDeadline: f
      .duration()
      .default('10m')
      .meta({ description: 'How long an agent may take from its launch to its registration.' }),
    restartBusyAfter: f
      .duration()
      .meta({
        description:
          'How long an agent may say that it is at work while no message comes or goes; it is then restarted. Absent: never, it is told by BusyTooLong alone.',
      })
      .exactOptional(),
    platform: f
      .matching('^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9_]+)?$', 64)
      .meta({ description: 'Operating system and architecture of the image: linux/amd64.' })
      .exactOptional(),
    template: z
      .object({
        ref: f
          .line(253, 1)
          .meta({ description: "As in a Workspace, but configmap/NAME is a ConfigMap of the operator's namespace." }),
      })
      .meta({ description: 'The template for Workspaces that name none.' })
      .exactOptional(),
    sessionsPath: f
      .ruled(f.matching('^(/[A-Za-z0-9._-]+)+$', 200, 2), {
        cel: String.raw`!self.matches(r'(^|/)[.]{1,2}(/|$)') && !self.matches(r'^/(configs|workspace|tmp|proc|sys|dev)(/|$)')`,
        message:
          'must be an absolute path without "." or ".." parts, and not in /configs, /workspace, /tmp, /proc, /sys or /dev: /home/agent/.claude/sessions',
        holds: (path) =>
          !/(^|\/)\.{1,2}(\/|$)/.test(path) && !/^\/(configs|workspace|tmp|proc|sys|dev)(\/|$)/.test(path),
      })
      .meta({
        description:
          'Where its agents keep their sessions: a volume of its own for each Workspace, which outlives every replacement. Absent: nothing is kept.',
      })
      .exactOptional(),
    rollout: z
      .enum(['OnRestart', 'WhenIdle'])
      .default('WhenIdle')
      .meta({ description: 'When a new digest reaches workspaces that run already.' }),
    maxUnavailable: z
      .int()
      .min(1)
      .max(10_000)
      .meta({
        description:
          'How many of its workspaces in one namespace may be down at once while a new image, secret or setting reaches them. Absent: a quarter, at least one.',
      })
      .exactOptional(),
    canaryNamespaces: f
      .setOf(
        f.labelName(),
        16,
        'Namespaces whose canary workspaces prove a new image for every namespace, beside the canaries of its own.',
      )
      .exactOptional(),
    soak: f.duration().default('5m').meta({
      description: 'How long each canary workspace must be Ready on a new image before production ones follow.',
    }),
    suspend: f.suspend,
    deletionPolicy: f.deletionPolicy(
      'A Runtime owns nothing outside the cluster: workspaces that run keep running under either value.',
    ),
  }),
  {
    cel: "!has(self.digest) || !self.image.contains('@')",
    message: 'image has a digest already: leave out digest, or write image without "@sha256:..."',
    holds: (spec) => spec.digest === undefined || !spec.image.includes('@'),
  },
  {
    cel: "!self.requireDigest || has(self.digest) || self.image.contains('@sha256:')",
    message: 'requireDigest needs digest: pin the image, or set requireDigest to false',
    holds: (spec) => !spec.requireDigest || spec.digest !== undefined || spec.image.includes('@sha256:'),
  },
  {
    cel: '!has(self.defaultModel) || !has(self.models) || self.models.size() == 0 || self.models.exists(m, m.id == self.defaultModel)',
    message: 'defaultModel must be one of models: add it there, or name another',
    holds: ({ defaultModel, models = [] }) =>
      defaultModel === undefined || models.length === 0 || models.some(({ id }) => id === defaultModel),
  },
)

const runtimeStatus = z.object({
  ...commonStatus,
  resolvedDigest: f.bounded(71).meta({ description: 'The digest that new instances get.' }).exactOptional(),
  workspaces: counts(
    {
      current: 'Instances that run this image; of a backend without images, those of this runtime.',
      stale: 'Instances that still run an older one.',
    },
    'What runs of the workspaces of this runtime.',
  ).exactOptional(),
})

export type RuntimeSpec = f.Frozen<z.output<typeof runtimeSpec>>
export type RuntimeStatus = f.Frozen<z.output<typeof runtimeStatus>>
export type Runtime = KubeObject<RuntimeSpec, RuntimeStatus>

export const runtimeKind: KindDefinition = {
  kind: 'Runtime',
  plural: 'runtimes',
  singular: 'runtime',
  shortNames: ['rt'],
  namespaced: false,
  description: 'A Runtime is one entry of the catalog: the image that agents of that name run, and its models.',
  spec: runtimeSpec,
  status: runtimeStatus,
  nameLength: 63,
  rootRules: [labelNameRule],
  columns: [
    readyColumn,
    { name: 'Image', type: 'string', jsonPath: '.spec.image', description: 'Its image.' },
    { name: 'Default', type: 'boolean', jsonPath: '.spec.default', description: 'Whether it is the default one.' },
    {
      name: 'Current',
      type: 'integer',
      jsonPath: '.status.workspaces.current',
      description: 'Instances that run its image.',
    },
    {
      name: 'Stale',
      type: 'integer',
      jsonPath: '.status.workspaces.stale',
      description: 'Instances that still run an older image.',
    },
    {
      name: 'Digest',
      type: 'string',
      jsonPath: '.status.resolvedDigest',
      description: 'The pinned digest.',
      priority: 1,
    },
    ...whyColumns,
  ],
  unsupported: [],
}

export const runtimeType = resourceType<RuntimeSpec, RuntimeStatus>(runtimeKind)
