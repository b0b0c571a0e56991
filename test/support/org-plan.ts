/** A world of an OrgImport's plan, without a cluster: what it wants, and what is there. */
import type { OrgImport, OrgImportSpec } from '../../src/api/org-import.ts'
import type { Workspace } from '../../src/api/workspace.ts'
import type { Done } from '../../src/controllers/org-import/apply.ts'
import { childrenOf, type Child } from '../../src/controllers/org-import/children.ts'
import { describe, type Looked } from '../../src/controllers/org-import/describe.ts'
import type { Environment } from '../../src/controllers/org-import/environment.ts'
import { match, type Matched, type Surroundings } from '../../src/controllers/org-import/match.ts'
import { planOf, type Plan, type World } from '../../src/controllers/org-import/plan.ts'
import { Tallies } from '../../src/controllers/org-import/tally.ts'
import { renderOrg, type OrgNode } from '../../src/orgs/tree.ts'

export const importUid = '5f0c3f9e-6f0e-4b52-8a6f-1f2b5c0f7a11'

export const owner = (spec: Partial<OrgImportSpec> = {}, status?: OrgImport['status']): OrgImport => ({
  apiVersion: 'molecule.dev/v1alpha1',
  kind: 'OrgImport',
  metadata: {
    name: 'team',
    namespace: 'ns',
    uid: importUid,
    resourceVersion: '1',
    generation: 1,
    creationTimestamp: '2026-01-01T00:00:00Z',
  },
  spec: {
    source: {},
    existing: 'Fail',
    update: 'Converge',
    prune: 'Orphan',
    approval: 'Auto',
    strict: false,
    dryRun: false,
    suspend: false,
    deletionPolicy: 'Delete',
    ...spec,
  },
  ...(status && { status }),
})

export const nothing: Environment = {
  of: () => new Map(),
  secretsOf: () => [],
  find: () => undefined,
  text: () => undefined,
  missingRecommended: [],
  warnings: [],
}

export const nodesOf = (...workspaces: readonly object[]): readonly OrgNode[] =>
  renderOrg({ kind: 'inline', template: { workspaces } }, { importUid }).nodes

export function matchWith(
  nodes: readonly OrgNode[],
  there: readonly Workspace[],
  more: Partial<Surroundings> = {},
): Matched {
  const owned = there.filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === importUid) === true)
  return match(nodes, {
    importUid,
    above: undefined,
    owned,
    renames: {},
    exclude: undefined,
    present: (name) => there.find(({ metadata }) => metadata.name === name),
    siblings: (parent, displayName) =>
      there.filter(({ spec }) => spec.displayName === displayName && spec.parentRef?.name === parent),
    ...more,
  })
}

export const childrenIn = ({ matches }: Matched): Child[] => childrenOf(owner(), matches, nothing, new Map())

/** As the API server gives a child back: with fields it never named. */
export function applied({ manifest }: Child, changes: { metadata?: object; spec?: object } = {}): Workspace {
  const { name } = manifest.metadata
  const metadata = {
    creationTimestamp: '',
    ...manifest.metadata,
    uid: `uid of ${name}`,
    generation: 1,
    ...changes.metadata,
  }
  return {
    ...manifest,
    metadata,
    spec: { power: 'Running', ...manifest.spec, ...changes.spec },
  } as unknown as Workspace
}

/** A first import of these nodes, as it is after that. */
export const tree = (...workspaces: readonly object[]): Workspace[] =>
  childrenIn(matchWith(nodesOf(...workspaces), [])).map((child) => applied(child))

export interface Policies extends Partial<World['policy']> {
  readonly renames?: Readonly<Record<string, string>>
  readonly filesChange?: World['filesChange']
  readonly whose?: World['whose']
  readonly spent?: World['spent']
}

/** The plan of an import of `workspaces` where `there` is what there is. */
export function planFor(
  workspaces: readonly object[],
  there: readonly Workspace[],
  { renames = {}, filesChange = () => false, whose = () => undefined, spent, ...policy }: Policies = {},
): Plan {
  const matched = matchWith(nodesOf(...workspaces), there, { renames, exclude: policy.exclude })
  return planOf(childrenIn(matched), {
    policy: { existing: 'Fail', update: 'Converge', prune: 'Orphan', ...policy },
    leavers: matched.leavers,
    installs: { declared: 0, actions: [] },
    whose,
    filesChange,
    spent,
  })
}

/** `create A/B`, and so on, without what is kept, or only drawn elsewhere. */
export const doings = ({ actions, departures }: Plan): string[] => [
  ...actions.flatMap((action) => {
    const drawn = action.kind === 'update' && action.changes.join() === 'canvas'
    return action.kind === 'keep' || drawn ? [] : [`${action.kind} ${action.child.path}`]
  }),
  ...departures.map(({ kind, live }) => `${kind} ${live.spec.displayName ?? ''}`),
]

/** What an import says after a pass that did so much; `found`: how the Workspace of that name is then. */
export function described(done: readonly Done[], found: (name: string) => Looked = () => nowhere, plugins = 0) {
  const org = owner()
  const plan = planFor([], [])
  return describe({
    org,
    source: { source: { kind: 'inline', template: {} }, revision: '1', identity: '1' },
    rendered: renderOrg({ kind: 'inline', template: { workspaces: [] } }, { importUid }),
    environment: nothing,
    plan: { ...plan, installs: { ...plan.installs, declared: plugins } },
    done,
    tally: new Tallies().add(org, done, 0),
    approved: false,
    look: found,
  })
}
const nowhere: Looked = { live: undefined, result: undefined }
