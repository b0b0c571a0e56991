/** OrgImport: a tree of workspaces from one template, any number of times. */
import { z } from 'zod'
import * as f from './fields.ts'
import { readyColumn, resourceType, whyColumns } from './kind.ts'
import type { KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { git, inlineOrg, sourceRef } from './org-source.ts'
import { commonStatus, counts } from './status.ts'

const configMapRef = f.dataRef('ConfigMap').extend({
  key: f
    .matching('^[-._a-zA-Z0-9]+(/[-._a-zA-Z0-9]+)*$', 253, 1)
    .default('org.yaml')
    .meta({ description: 'The key that holds the template; with archiveKey, the path of that file.' }),
  archiveKey: f
    .dataKey()
    .meta({
      description:
        'A key of binaryData that holds the template folder as tar.gz; key is then a file in it, and the folder of that file the top.',
    })
    .exactOptional(),
})

const sources = ['inline', 'configMapRef', 'git', 'sourceRef'] as const

const source = f.ruled(
  z.object({
    inline: inlineOrg.exactOptional(),
    configMapRef: configMapRef
      .meta({
        description:
          'A ConfigMap of the same namespace: the template under key, and each file it names under its path, with "/" written as "__".',
      })
      .exactOptional(),
    git: git.exactOptional(),
    sourceRef: sourceRef.exactOptional(),
  }),
  f.exactlyOne(...sources),
)

const nodePath = () => f.line(2048, 1)
const dataRefs = z.object({
  prefix: f.matching('^[A-Za-z_][A-Za-z0-9_]*$', 128).meta({ description: 'Put before each key.' }).exactOptional(),
  secretRef: f.dataRef('Secret').exactOptional(),
  configMapRef: f.dataRef('ConfigMap').exactOptional(),
})

const env = z.object({
  from: f
    .atomic(
      f.ruled(dataRefs, f.exactlyOne('secretRef', 'configMapRef')),
      32,
      'Where the variables that the template requires come from; later ones win. Every workspace gets them.',
    )
    .exactOptional(),
})

const secretsFrom = z.object({
  node: nodePath().meta({ description: 'Path of a node in the template, or "*" for all.' }),
  secretRef: f.dataRef('Secret'),
})

const rollout = z.object({
  maxInFlight: z
    .int()
    .min(1)
    .max(1000)
    .default(3)
    .meta({ description: 'Workspaces that may be starting at once, counted across all imports of the namespace.' }),
  order: z.enum(['TopDown']).default('TopDown').meta({ description: 'Parents first.' }),
})

const target = z.object({
  parentRef: f
    .workspaceRef('The workspace under which the roots of the template go. Absent: they are roots.')
    .exactOptional(),
})

const orgImportSpec = f.ruled(
  z.object({
    source: source.meta({ description: 'Where the template is. Exactly one of its fields.' }),
    target: target
      .meta({ description: 'Where the tree goes. Cannot change: it is part of every name.' })
      .exactOptional(),
    env: env.meta({ description: 'Environment of the whole tree.' }).exactOptional(),
    secretsFrom: f.atomic(secretsFrom, 256, 'Secrets for single nodes.').exactOptional(),
    existing: z.enum(['Adopt', 'Fail', 'Ignore']).default('Fail').meta({
      description: 'What to do with a workspace of the same name and place that is not from this import.',
    }),
    update: z.enum(['Converge', 'CreateOnly']).default('Converge').meta({
      description: 'Whether a change of the template reaches workspaces that exist.',
    }),
    prune: z.enum(['Orphan', 'Delete']).default('Orphan').meta({
      description: 'What happens to workspaces of this import whose node left the template.',
    }),
    renames: f
      .mapOf(nodePath(), 512, 'Old path of a node to its new one, so that a rename keeps the workspace.', 2048)
      .exactOptional(),
    exclude: f
      .setOf(nodePath(), 512, 'Paths of nodes that are left out with all below them: "Director/Writer".')
      .exactOptional(),
    strict: z.boolean().default(false).meta({
      description:
        'Refuses a template with keys that nothing reads or files that are not there, instead of warning of them.',
    }),
    approval: z.enum(['Auto', 'Manual']).default('Auto').meta({ description: 'Whether a plan waits for a person.' }),
    approvedPlan: f
      .matching('^[0-9a-f]{32}$', 32)
      .meta({
        description:
          'status.plan.digest of the plan that may be carried out. When the world changes, so does the digest.',
      })
      .exactOptional(),
    maxDeletes: z
      .int()
      .min(0)
      .max(10_000)
      .meta({
        description:
          'A plan that deletes more workspaces than this waits for approvedPlan. Absent: one that deletes more than half of four or more.',
      })
      .exactOptional(),
    rollout: rollout.meta({ description: 'How fast. Absent: as fast as it goes.' }).exactOptional(),
    dryRun: z.boolean().default(false).meta({ description: 'Plans and reports, and changes no workspace.' }),
    suspend: f.suspend,
    deletionPolicy: f.deletionPolicy(
      'Delete removes the workspaces of this import and waits until they are gone; Retain lets them live on.',
    ),
  }),
  {
    cel: '(has(self.target) && has(self.target.parentRef) ? self.target.parentRef.name : "") == (has(oldSelf.target) && has(oldSelf.target.parentRef) ? oldSelf.target.parentRef.name : "")',
    message:
      'target.parentRef cannot change after creation (nor be set or removed): it is part of the tree. Make another OrgImport',
  },
)

const warning = z.object({
  path: f.bounded(2048).meta({ description: 'The node.' }).exactOptional(),
  code: f.bounded(64).meta({ description: 'UnknownKey, DanglingRoute and the like.' }),
  message: f.bounded(1024).meta({ description: 'What is odd, and what became of it.' }),
})

const node = z.object({
  path: f.bounded(2048).meta({ description: 'Names from the root to the node, joined by "/".' }),
  workspaceRef: f.workspaceRef('The Workspace it became.').exactOptional(),
  action: f
    .bounded(64)
    .meta({
      description: 'What was done: Created, Updated, Renamed, Moved, Adopted, Ignored, Unchanged, Waiting, Failed.',
    })
    .exactOptional(),
  phase: f.bounded(64).meta({ description: 'The phase of the Workspace.' }).exactOptional(),
  reason: f.bounded(128).meta({ description: 'Why, as one CamelCase word.' }).exactOptional(),
  message: f.bounded(1024).meta({ description: 'Why, for people.' }).exactOptional(),
})

const tally = {
  desired: 'Nodes of the template.',
  existing: 'Nodes whose Workspace was there already when the import last changed anything.',
  created: 'Workspaces created when the import last changed anything.',
  updated: 'Workspaces changed then, renamed and moved ones too.',
  adopted: 'Workspaces taken over then.',
  failed: 'Nodes that could not be applied, or whose workspace failed or is Stalled, now.',
  orphaned: 'Workspaces whose node left the template and that live on, now.',
  pruned: 'Workspaces deleted then because their node left the template.',
  ready: 'Nodes whose Workspace is Ready, or falls asleep, now.',
  plugins: 'Plugins of the template, a PluginInstall each, whether or not they are installed.',
}

const delivered = {
  declared: 'In the template.',
  delivered: 'In a Workspace, and there as it asks: the warnings and the Workspaces say why others are not.',
}

const planned = {
  create: 'To create.',
  update: 'To change in place.',
  rename: 'To give another name.',
  move: 'To put under another parent.',
  adopt: 'To take over.',
  orphan: 'Left the template, and will live on.',
  delete: 'Left the template, and to be deleted.',
}

const step = z.object({
  action: f.bounded(64).meta({ description: 'create, update, rename, move, adopt, orphan or prune.' }),
  path: f.bounded(2048).meta({ description: 'The node, or the plugin.' }),
  name: f.bounded(253).meta({ description: 'metadata.name of what it is done to.' }).exactOptional(),
  changes: f.bounded(1024).meta({ description: 'What would be different.' }).exactOptional(),
})

const orgImportStatus = z.object({
  ...commonStatus,
  counts: counts(tally, 'The tree in numbers.').exactOptional(),
  schedules: counts(delivered, 'The schedules of the tree.').exactOptional(),
  channels: counts(delivered, 'The channels of the tree.').exactOptional(),
  source: z
    .object({
      revision: f
        .bounded(253)
        .meta({ description: 'What was applied: a resourceVersion, or a commit, main@sha1:… .' })
        .exactOptional(),
      digest: f.bounded(128).meta({ description: 'Digest of the template with all its files.' }).exactOptional(),
      externals: f
        .atomic(
          f.bounded(1024),
          32,
          'The repositories that the template refers to by !external, each with what was read: https://git.example/org/teams v1.0.0@sha1:… .',
        )
        .exactOptional(),
    })
    .meta({ description: 'What the template was read from.' })
    .exactOptional(),
  plan: counts(planned, 'What is left to do.')
    .extend({
      digest: f.bounded(128).meta({ description: 'Names this plan, for spec.approvedPlan.' }).exactOptional(),
      actions: f.atomic(step, 20, 'The first twenty steps.').exactOptional(),
      spent: f
        .bounded(128)
        .meta({
          description: 'The last plan that was carried out because spec.approvedPlan named it: that is used up.',
        })
        .exactOptional(),
      configMap: f
        .bounded(253)
        .meta({ description: 'The ConfigMap that holds all of them, when there are more.' })
        .exactOptional(),
      steps: f
        .bounded(200_000)
        .meta({ description: 'A digest of each step: by them an approved plan is known after it was begun.' })
        .exactOptional(),
    })
    .meta({ description: 'What is left to do.' })
    .exactOptional(),
  env: z
    .object({
      missing: f.atomic(f.bounded(1024), 256, 'Required variables that spec.env does not give.').exactOptional(),
      missingRecommended: f.atomic(f.bounded(1024), 256, 'Recommended ones that it does not give.').exactOptional(),
    })
    .meta({ description: 'What the template asks of the environment.' })
    .exactOptional(),
  warnings: f
    .atomic(
      warning,
      50,
      'What is odd in the template, what is lost first; when there are more than fifty, the last says how many.',
    )
    .exactOptional(),
  nodes: f
    .atomic(
      node,
      512,
      'Nodes that are not ready, at most a hundred, those that failed first; kubectl get ws -l molecule.dev/org-import=UID lists all of them.',
    )
    .exactOptional(),
})

export type OrgImportSpec = f.Frozen<z.output<typeof orgImportSpec>>
export type OrgImportStatus = f.Frozen<z.output<typeof orgImportStatus>>
export type OrgImport = KubeObject<OrgImportSpec, OrgImportStatus>

export const orgImportKind: KindDefinition = {
  kind: 'OrgImport',
  plural: 'orgimports',
  singular: 'orgimport',
  shortNames: ['org'],
  namespaced: true,
  description: 'An OrgImport makes a tree of Workspaces from one template and keeps it so.',
  spec: orgImportSpec,
  status: orgImportStatus,
  nameLength: 253,
  rootRules: [],
  columns: [
    readyColumn,
    { name: 'Desired', type: 'integer', jsonPath: '.status.counts.desired', description: 'Nodes of the template.' },
    {
      name: 'Existed',
      type: 'integer',
      jsonPath: '.status.counts.existing',
      description: 'Nodes whose Workspace was there already at the last change.',
    },
    {
      name: 'Created',
      type: 'integer',
      jsonPath: '.status.counts.created',
      description: 'Workspaces created by the last change.',
    },
    { name: 'Failed', type: 'integer', jsonPath: '.status.counts.failed', description: 'Nodes that are failed now.' },
    { name: 'Revision', type: 'string', jsonPath: '.status.source.revision', description: 'What was applied.' },
    ...whyColumns,
  ],
  unsupported: [],
}

export const orgImportType = resourceType<OrgImportSpec, OrgImportStatus>(orgImportKind)
