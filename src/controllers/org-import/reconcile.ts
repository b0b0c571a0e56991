/** The way of one OrgImport: claim, read, parse, preflight, plan, act, report. */
import { keyOf } from '../../api/meta.ts'
import type { OrgImport, OrgImportStatus } from '../../api/org-import.ts'
import type { Workspace } from '../../api/workspace.ts'
import { minutes } from '../../duration.ts'
import { failpoint } from '../../failpoint.ts'
import { KubeError } from '../../kube/kube-error.ts'
import type { Context, Reconciler, Verdict } from '../../kube/reconciler.ts'
import { dataTypes } from '../references.ts'
import { hasVerdict, untilRead } from '../unread.ts'
import { announce, announceObstacle, MovedTags } from './announce.ts'
import { applyChildren, applyFiles, applyInstalls, isWrite, prune } from './apply.ts'
import { unknownModel, unknownRuntime } from './catalog.ts'
import { childrenOf, type Child } from './children.ts'
import { Claims } from './claims.ts'
import type { OrgImportCollaborators } from './collaborators.ts'
import { lackOfMaps, ownMaps, type OwnMaps } from './config-maps.ts'
import { describe, describeObstacle, describePlanned, describeSuspended, type Looked } from './describe.ts'
import { findEnvironment } from './environment.ts'
import { planFiles, mapManifest } from './file-plan.ts'
import { finish } from './finish.ts'
import { gateOf, isApproved, type Gate } from './gate.ts'
import { planInstalls, pluginsOf } from './installs.ts'
import { match, type Matched } from './match.ts'
import { isObstacle, type Obstacle } from './obstacle.ts'
import { pack, planMapName, type Packed } from './packing.ts'
import { givesModel, planOf, type Plan } from './plan.ts'
import { planText, rowsOf, shownRows } from './plan-text.ts'
import { Renderer } from './renderer.ts'
import { readSource } from './source.ts'
import { Tallies } from './tally.ts'
import type { Learned } from './told.ts'
import type { Turn } from './turns.ts'
import { waitForResults } from './wait-for-results.ts'

const namespaceOf = ({ metadata }: OrgImport) => metadata.namespace ?? ''

/** What the pass compares and writes, once the template and the environment are known. */
interface Prepared {
  readonly learned: Required<Learned>
  readonly packed: Packed
  readonly children: readonly Child[]
  readonly plan: Plan
}

export class OrgImportReconciler implements Reconciler<OrgImport> {
  readonly #with: OrgImportCollaborators
  readonly #renderer = new Renderer()
  readonly #tallies = new Tallies()
  /** The generation of each import, by uid, on which a pass has acted. */
  readonly #acted = new Map<string, number>()
  readonly #claims = new Claims()
  readonly #moved = new MovedTags()

  constructor(collaborators: OrgImportCollaborators) {
    this.#with = collaborators
    collaborators.onGone((org) => this.#forget(org))
  }

  async reconcile(org: OrgImport, ctx: Context): Promise<Verdict<OrgImportStatus>> {
    if (org.metadata.deletionTimestamp !== undefined) {
      this.#forget(org)
      return await finish(org, this.#with, ctx)
    }
    if (org.spec.suspend) return this.#stopped(org, describeSuspended(org))
    await ctx.claim()
    failpoint('claimed')
    const prepared = this.#prepare(org)
    const unread = isObstacle(prepared) && isUnread(org, prepared)
    if (!unread) this.#moved.tell(org, prepared.learned.source?.externals, ctx)
    if (isObstacle(prepared)) {
      if (!unread) announceObstacle(org, prepared, ctx)
      return this.#stoppedBy(prepared, prepared.learned)
    }
    const gate = gateOf(org, prepared.plan)
    if (gate.kind !== 'open') return this.#stopped(org, await this.#show(prepared, gate, ctx))
    return await this.#carryOut(prepared, ctx)
  }

  #forget(org: OrgImport): void {
    const { uid } = org.metadata
    this.#renderer.forget(uid)
    this.#tallies.forget(uid)
    this.#acted.delete(uid)
    this.#moved.forget(uid)
    this.#with.turns.leave(keyOf(org))
    this.#with.conflicts.note(keyOf(org), false)
  }

  /** Everything that can be found out without writing anything. */
  #prepare(org: OrgImport): Prepared | (Obstacle & { readonly learned: Learned }) {
    const source = readSource(org, this.#with)
    if (isObstacle(source)) return { ...source, learned: { org } }
    const rendered = this.#renderer.render(org, source)
    if (isObstacle(rendered)) return { ...rendered, learned: { org, source } }
    const environment = findEnvironment(org, rendered, this.#with.references)
    if (isObstacle(environment)) return { ...environment, learned: { org, source, rendered } }

    const learned = { org, source, rendered, environment }
    const above = org.spec.target?.parentRef?.name
    if (above !== undefined && this.#with.workspace(namespaceOf(org), above) === undefined)
      return { ...parentMissing(above, namespaceOf(org)), learned }
    const matched = this.#match(org, learned)
    const named = matched.matches.map(({ name, node: { files } }) => ({ name, files }))
    const packed = pack(org.metadata.uid, org.metadata.name, named)
    if (packed === undefined) return { ...tooManyFiles, learned }
    const maps = this.#needsFiles(org, packed) ? ownMaps(org, this.#with.configMap) : noMaps
    if (maps.lack === 'syncing') return { ...lackOfMaps(maps.lack, namespaceOf(org)), learned }
    const children = childrenOf(org, matched.matches, environment, packed.refs)
    const plan = this.#plan(org, children, matched, { packed, maps })
    const catalog = this.#with.catalog()
    const asking = plan.actions.filter(givesModel).map(({ child: { node } }) => node)
    const unknown = unknownRuntime(asking, catalog) ?? unknownModel(asking, catalog, this.#with.defaultBackend)
    if (unknown !== undefined) return { ...unknown, learned }
    const clashes = plan.actions.flatMap((each) => (each.kind === 'clash' ? [clash(each.child.path, each)] : []))
    if (clashes.length > 0) return { ...notApplied('Conflict', listedClashes(clashes)), learned }
    return { learned, packed, children, plan }
  }

  #match(org: OrgImport, { rendered }: Required<Learned>): Matched {
    const namespace = namespaceOf(org)
    return match(rendered.nodes, {
      importUid: org.metadata.uid,
      above: org.spec.target?.parentRef?.name,
      owned: this.#with.owned(org),
      renames: org.spec.renames ?? {},
      exclude: org.spec.exclude,
      present: (name) => this.#with.workspace(namespace, name),
      siblings: (parent, displayName) => this.#with.siblings(namespace, parent, displayName),
    })
  }

  #plan(org: OrgImport, children: readonly Child[], { leavers }: Matched, { packed, maps }: Files): Plan {
    const installs = this.#with.installs(org)
    return planOf(children, {
      policy: org.spec,
      leavers,
      installs: planInstalls(org, pluginsOf(children, leavers, org.spec, installs), installs),
      whose: (live) => this.#whose(live),
      spent: org.status?.plan?.spent,
      filesChange: ({ name }) =>
        (packed.refs.get(name) ?? []).some(({ configMapKeyRef: { name: map, key } }) => {
          const there = maps.lack === undefined ? maps.get(map)?.data?.[key] : undefined
          return there !== packed.maps.get(map)?.[key]
        }),
    })
  }

  /** Of another import only as long as there is one; undefined when it was made by hand, or released. */
  #whose({ metadata }: Workspace): string | undefined {
    const owner = metadata.ownerReferences?.find(({ controller }) => controller === true)
    if (owner === undefined) return undefined
    if (owner.kind !== 'OrgImport') return `${owner.kind} "${owner.name}"`
    if (this.#with.importOf(owner.uid) === undefined) return undefined
    return `OrgImport "${owner.name}": delete that with deletionPolicy Retain first`
  }

  async #show({ learned, plan }: Prepared, gate: Exclude<Gate, { kind: 'open' }>, ctx: Context) {
    const { org } = learned
    const rows = rowsOf(plan).length
    const name = rows > shownRows ? await this.#writePlan(org, plan, ctx) : undefined
    return describePlanned(learned, plan, gate, name)
  }

  /** The whole of a long plan. Where the namespace is not open for it, the first rows have to do. */
  async #writePlan(org: OrgImport, plan: Plan, ctx: Context): Promise<string | undefined> {
    const { uid, name } = org.metadata
    const map = planMapName(uid, name)
    const seen = this.#with.configMap(namespaceOf(org), map)
    if (seen.state !== 'found' && seen.state !== 'missing') return undefined
    const there = seen.state === 'found' ? seen.object.data?.['plan.txt'] : undefined
    const data = { 'plan.txt': planText(plan) }
    try {
      if (there !== data['plan.txt'])
        await this.#with.client.apply(dataTypes.ConfigMap, mapManifest(org, map, data), ctx.signal)
      return map
    } catch (error) {
      if (error instanceof KubeError && error.isForbidden) return undefined
      throw error
    }
  }

  /** The roots that are to be made, and all that is to be taken over, are claimed first, before anything is awaited. */
  async #carryOut(prepared: Prepared, ctx: Context): Promise<Verdict<OrgImportStatus>> {
    const { org } = prepared.learned
    // Below the Workspaces of an import no other import makes any.
    const own = new Set(prepared.children.flatMap(({ name, stranger }) => (stranger === undefined ? [name] : [])))
    const places = prepared.plan.actions.flatMap(({ kind, child: { node, parentName } }) =>
      kind === 'adopt' || (kind === 'create' && (parentName === undefined || !own.has(parentName)))
        ? [`${namespaceOf(org)}/${parentName ?? ''}/${node.spec.displayName}`]
        : [],
    )
    const taken = this.#claims.take(org.metadata, places)
    if (taken !== undefined) {
      const message = `OrgImport "${taken.by}" is making a tree in the same place`
      return this.#stoppedBy(notApplied('Conflict', message, true), prepared.learned)
    }
    try {
      return await this.#write(prepared, ctx)
    } finally {
      this.#claims.release(places)
    }
  }

  async #write({ learned, packed, plan }: Prepared, ctx: Context): Promise<Verdict<OrgImportStatus>> {
    const { client, metrics, turns, conflicts } = this.#with
    const { org } = learned
    conflicts.note(keyOf(org), false)
    const refused = await this.#placeFiles(org, packed, ctx)
    if (refused !== undefined) return this.#stoppedBy(refused, learned)
    const approved = isApproved(org, plan)
    // Who is there by the next pass is left as it is: what a new one needs has to be there first.
    const createOnly = org.spec.update === 'CreateOnly'
    if (createOnly) await applyInstalls(plan.installs, client, ctx.signal)
    const turn = this.#turn(org, plan)
    const done = await applyChildren(plan.actions, client, ctx.signal, turn).finally(() => turn?.end())
    const whole = done.every(({ deed }) => deed !== 'Failed' && deed !== 'Waiting')
    // What is on its way to a new tree keeps all it has: nothing goes before everything has come.
    if (whole && !createOnly) await applyInstalls(plan.installs, client, ctx.signal)
    const pruned = whole ? await prune(plan.departures, client, ctx.signal) : []
    if (done.every(({ deed }) => deed !== 'Waiting')) turns.leave(keyOf(org))
    for (const { deed } of done) if (deed !== 'Unchanged') metrics.orgNodes.inc({ action: deed })
    metrics.orgNodes.inc({ action: 'Pruned' }, pruned.length)
    const live = (name: string) => this.#with.workspace(namespaceOf(org), name)
    announce(org, { done, pruned, plan, live, first: this.#isFirst(org) }, ctx)
    const look = (name: string): Looked => {
      const found = live(name)
      return { live: found, result: found && this.#with.result(found) }
    }
    if (pruned.length === 0) waitForResults(org, done, look)
    return describe({ ...learned, plan, done, approved, tally: this.#tallies.add(org, done, pruned.length), look })
  }

  /** Whether no pass, of this leader or one before, has acted on this generation. */
  #isFirst({ metadata, status }: OrgImport): boolean {
    const { uid, generation } = metadata
    const first = status?.observedGeneration !== generation && this.#acted.get(uid) !== generation
    this.#acted.set(uid, generation)
    return first
  }

  /** With `rollout`, no more at once than it says, whichever import of the namespace they are of. */
  #turn(org: OrgImport, plan: Plan): Turn | undefined {
    const { turns } = this.#with
    const most = org.spec.rollout?.maxInFlight
    const wanted = plan.actions.filter(isWrite).length
    if (most === undefined || wanted === 0) return undefined
    return turns.take(keyOf(org), wanted, most)
  }

  async #placeFiles(org: OrgImport, packed: Packed, ctx: Context): Promise<Obstacle | undefined> {
    if (!this.#needsFiles(org, packed)) return undefined
    const namespace = namespaceOf(org)
    const maps = ownMaps(org, this.#with.configMap)
    if (maps.lack !== undefined) return lackOfMaps(maps.lack, namespace)
    const owned = this.#with.owned(org)
    const frozen = new Set(org.spec.update === 'CreateOnly' ? owned.map(({ metadata }) => metadata.name) : [])
    const files = planFiles(org, packed, maps.get, owned, frozen)
    if (files.taken.length > 0)
      return notApplied('Conflict', `ConfigMap "${files.taken.join('", "')}" is not of this import: delete it`)
    try {
      await applyFiles(files, this.#with.client, ctx.signal)
      return undefined
    } catch (error) {
      if (error instanceof KubeError && error.isForbidden)
        // Nothing tells of a RoleBinding.
        return { ...notApplied('ConfigMapForbidden', openForFiles(namespace)), retryAfter: minutes(1) }
      throw error
    }
  }

  /** An org without files needs no right to write ConfigMaps, nor can it have left any. */
  #needsFiles(org: OrgImport, packed: Packed): boolean {
    return (
      packed.maps.size > 0 ||
      org.status?.plan?.configMap !== undefined ||
      this.#with.owned(org).some(({ spec }) => (spec.files ?? []).length > 0)
    )
  }

  #stoppedBy(obstacle: Obstacle, learned: Learned): Verdict<OrgImportStatus> {
    const verdict = this.#stopped(learned.org, describeObstacle(learned, obstacle))
    if (isUnread(learned.org, obstacle)) throw untilRead(obstacle.message)
    return verdict
  }

  #stopped(org: OrgImport, verdict: Verdict<OrgImportStatus>): Verdict<OrgImportStatus> {
    const { turns, conflicts } = this.#with
    turns.leave(keyOf(org))
    conflicts.note(keyOf(org), verdict.outcome.kind === 'blocked' && verdict.outcome.reason === 'Conflict')
    return verdict
  }
}

/** Something is only being read, after a start mostly, and what people see is as true as before. */
const isUnread = (org: OrgImport, { reason }: Obstacle): boolean => reason === 'Progressing' && hasVerdict(org)

const noMaps: OwnMaps = { get: () => undefined, lack: undefined }

/** The files of the tree, and the ConfigMaps that are there for them. */
interface Files {
  readonly packed: Packed
  readonly maps: OwnMaps
}

const notApplied = (reason: Obstacle['reason'], message: string, waits = false): Obstacle => ({
  condition: 'Applied',
  reason,
  message,
  waits,
})

const parentMissing = (name: string, namespace: string): Obstacle =>
  notApplied(
    'ParentMissing',
    `spec.target.parentRef names Workspace "${name}", which does not exist in namespace ${namespace}: create it`,
  )

const tooManyFiles = notApplied('TooLarge', 'the files of the template do not fit into 256 ConfigMaps')

const clash = (path: string, { child, whose }: { readonly child: Child; readonly whose: string }): string =>
  `"${path}" is there already: Workspace "${child.name}" of ${whose}`

const listedClashes = (clashes: readonly string[]): string => {
  const more = clashes.length > 3 ? `; and ${clashes.length - 3} more` : ''
  return `${clashes.slice(0, 3).join('; ')}${more}`
}

const openForFiles = (namespace: string) =>
  `the operator may not write ConfigMaps in namespace ${namespace}: create there the RoleBinding molecule-generated-files for ClusterRole molecule-generated-files (examples/open-namespace.yaml)`
