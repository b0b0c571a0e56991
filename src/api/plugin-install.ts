/** PluginInstall: one plugin on one or many workspaces, followed and proved. */
import { z } from 'zod'
import * as f from './fields.ts'
import { readyColumn, resourceType, whyColumns } from './kind.ts'
import type { KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { commonStatus, counts } from './status.ts'

const labelValue = () => f.matching('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$', 63)
const labelKey = () =>
  f.matching('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$', 317, 1)

const requirement = f.ruled(
  z.object({
    key: labelKey().meta({ description: 'The label.' }),
    operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']).meta({ description: 'How it is judged.' }),
    values: f.setOf(labelValue(), 64, 'The values, for In and NotIn.').exactOptional(),
  }),
  {
    cel: "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
    message: 'In and NotIn need values; Exists and DoesNotExist take none',
    holds: ({ operator, values = [] }) => (operator === 'In' || operator === 'NotIn') === values.length > 0,
  },
)

const selector = z.object({
  matchLabels: f.mapOf(labelValue(), 32, 'Labels a Workspace must have.').exactOptional(),
  matchExpressions: f.atomic(requirement, 32, 'Rules its labels must keep.').exactOptional(),
})

const targets = f.ruled(
  z.object({
    names: f.setOf(f.labelName(), 512, 'Workspaces by name, in the same namespace.').exactOptional(),
    selector: selector.meta({ description: 'Workspaces by label; an empty selector takes all.' }).exactOptional(),
  }),
  {
    cel: '(has(self.names) && self.names.size() > 0) || has(self.selector)',
    message: 'name at least one workspace, or give a selector',
    holds: ({ names = [], selector: chosen }) => names.length > 0 || chosen !== undefined,
  },
)

const commit = () => f.matching('^[0-9a-f]{40}$', 40)

const fields = z.object({
  source: f
    .ruled(f.line(2048, 1), {
      cel: "self.matches('^([a-z0-9][a-z0-9._-]*|[a-z][a-z0-9+.-]*://[^#@]+)$')",
      message: 'must be scheme://path, or a bare name of the catalog; no "#ref" (use ref) and no "user@" in it',
      holds: (source) => /^([a-z0-9][a-z0-9._-]*|[a-z][a-z0-9+.-]*:\/\/[^#@]+)$/.test(source),
    })
    .meta({ description: 'Where the plugin is: github://owner/repo; a bare name means local://name.' }),
  ref: f.line(255, 1).meta({ description: 'The branch, tag or commit to install.' }).exactOptional(),
  pluginName: f
    .matching('^[a-z0-9][a-z0-9._-]{0,127}$', 128)
    .meta({ description: 'The folder it is installed into. Absent: the last part of source. Cannot change.' })
    .exactOptional(),
  track: f
    .matching('^(none|tag:latest|tag:v[0-9]+[.][0-9]+[.][0-9]+[-+.0-9A-Za-z]*|sha:[0-9a-f]{40})$', 128)
    .default('none')
    .meta({ description: 'What to follow: none, tag:vX.Y.Z, tag:latest, or sha: with 40 hex digits.' }),
  targets: targets.meta({ description: 'The workspaces that get it.' }),
  integrity: z
    .object({ treeSha256: f.sha256('').meta({ description: 'SHA-256 of the whole tree, 64 hex digits.' }) })
    .meta({ description: 'What it must be, whoever delivers it.' })
    .exactOptional(),
  interval: f.duration().default('1h').meta({ description: 'How often to look for something newer.' }),
  updatePolicy: z.enum(['Off', 'Manual', 'Automatic']).default('Manual').meta({
    description: 'What a newer revision leads to: a note, a wait for approvedRevision, or an update.',
  }),
  approvedRevision: commit()
    .meta({ description: 'Manual only: the pending revision that may go out.' })
    .exactOptional(),
  tagMovePolicy: z.enum(['Hold', 'Follow']).default('Hold').meta({
    description: 'What to do when a tag that looks fixed points elsewhere.',
  }),
  canary: z
    .object({
      ring: z.enum(['canary', 'production']).default('canary').meta({ description: 'The ring that goes first.' }),
      soak: f
        .duration('zero')
        .default('0s')
        .meta({ description: 'How long it must be well before the others follow.' }),
    })
    .meta({ description: 'Some first, then the others.' })
    .exactOptional(),
  restart: z.enum(['Auto', 'WhenIdle', 'Never']).default('Auto').meta({
    description: 'Whether the agent is restarted when the plugin needs it.',
  }),
  runtimeCheck: z.enum(['Enforce', 'Warn', 'Ignore']).default('Warn').meta({
    description: "What happens when the plugin does not name the workspace's runtime.",
  }),
  suspend: f.suspend,
  deletionPolicy: f.deletionPolicy('Delete removes the plugin from its workspaces; Retain leaves it there.'),
})

const pluginInstallSpec = f.ruled(
  fields,
  {
    cel: 'has(self.pluginName) == has(oldSelf.pluginName) && (!has(self.pluginName) || self.pluginName == oldSelf.pluginName)',
    message: 'pluginName cannot change after creation (nor be set or removed): make another PluginInstall',
  },
  {
    cel: "!has(self.approvedRevision) || self.updatePolicy == 'Manual'",
    message: 'approvedRevision is for updatePolicy Manual only: leave it out',
    holds: (spec) => spec.approvedRevision === undefined || spec.updatePolicy === 'Manual',
  },
)

const workspaceInstall = z.object({
  name: f.bounded(63).meta({ description: 'The Workspace.' }),
  revision: f.bounded(253).meta({ description: 'What is installed there.' }).exactOptional(),
  digest: f.bounded(128).meta({ description: 'Tree digest taken inside the instance.' }).exactOptional(),
  instance: f.bounded(256).meta({ description: 'The incarnation in which it was taken.' }).exactOptional(),
  message: f.bounded(1024).meta({ description: 'What is in the way.' }).exactOptional(),
})

const pluginInstallStatus = z.object({
  ...commonStatus,
  resolvedRevision: f.bounded(253).meta({ description: 'What the source points to now.' }).exactOptional(),
  installedRevision: f.bounded(253).meta({ description: 'What is installed.' }).exactOptional(),
  treeDigest: f.bounded(128).meta({ description: 'Digest of the installed tree.' }).exactOptional(),
  pending: z
    .object({
      from: f.bounded(253).meta({ description: 'What is installed.' }),
      to: f.bounded(253).meta({ description: 'What waits.' }),
      kind: z
        .enum(['NewTag', 'TagMoved', 'BranchMoved', 'SourceChanged'])
        .meta({ description: 'What happened upstream.' }),
      detectedAt: f.time('When it was found.'),
    })
    .meta({ description: 'An update that waits.' })
    .exactOptional(),
  counts: counts(
    { desired: 'Workspaces that should have it.', materialized: 'Workspaces where it was proved.', failed: 'Failed.' },
    'The targets in numbers.',
  ).exactOptional(),
  workspaces: f.listBy('name', workspaceInstall, 512, 'What holds on each workspace.').exactOptional(),
})

export type PluginInstallSpec = f.Frozen<z.output<typeof pluginInstallSpec>>
export type PluginInstallStatus = f.Frozen<z.output<typeof pluginInstallStatus>>
export type PluginInstall = KubeObject<PluginInstallSpec, PluginInstallStatus>

/** No controller acts on this kind yet. */
const unsupported: readonly f.Unsupported<PluginInstallSpec>[] = (
  Object.keys(fields.shape) as (keyof PluginInstallSpec)[]
).map((field) => ({ field, when: (spec) => spec[field] !== undefined }))

/** Fields this spec asks for that no controller acts on yet: all. */
export const unsupportedFields = (spec: PluginInstallSpec): string[] => f.askedFor(unsupported, spec)

export const pluginInstallKind: KindDefinition = {
  kind: 'PluginInstall',
  plural: 'plugininstalls',
  singular: 'plugininstall',
  shortNames: ['pi'],
  namespaced: true,
  description:
    'A PluginInstall puts one plugin on one or many Workspaces, follows its source and proves what is there.',
  spec: pluginInstallSpec,
  status: pluginInstallStatus,
  nameLength: 253,
  rootRules: [],
  columns: [
    readyColumn,
    { name: 'Source', type: 'string', jsonPath: '.spec.source', description: 'Where it comes from.' },
    { name: 'Installed', type: 'string', jsonPath: '.status.installedRevision', description: 'What is installed.' },
    { name: 'Pending', type: 'string', jsonPath: '.status.pending.to', description: 'What waits.' },
    { name: 'Track', type: 'string', jsonPath: '.spec.track', description: 'What is followed.', priority: 1 },
    ...whyColumns,
  ],
  unsupported,
}

export const pluginInstallType = resourceType<PluginInstallSpec, PluginInstallStatus>(pluginInstallKind)
