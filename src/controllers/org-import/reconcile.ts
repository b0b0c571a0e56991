/** The way of one OrgImport: claim, read, parse, preflight, plan, act, report. */
import { keyOf } from '../../api/meta.ts'
import type { OrgImport, OrgImportStatus } from '../../api/org-import.ts'
import { workspaceType, type Workspace } from '../../api/workspace.ts'
import { failpoint } from '../../failpoint.ts'
import type { Client } from '../../kube/client.ts'
import { KubeError } from '../../kube/kube-error.ts'
import type { Context, Reconciler, Verdict } from '../../kube/reconciler.ts'
import { dataTypes, openNamespace, type References } from '../references.ts'
import { applyChildren, applyFiles, each, type Done } from './apply.ts'
import { childrenOf, importLabel, nodeAnnotation, digestAnnotation } from './children.ts'
import {
  describe,
  describeDeleting,
  describeObstacle,
  describePlanned,
  describeSuspended,
  type Learned,
} from './describe.ts'
import { findEnvironment } from './environment.ts'
import { ownedMaps, planFiles } from './file-plan.ts'
import { isObstacle, type Obstacle } from './obstacle.ts'
import { pack, type Packed } from './packing.ts'
import { planOf } from './plan.ts'
import { Renderer } from './renderer.ts'
import { readSource, type ConfigMaps } from './source.ts'
import { Tallies } from './tally.ts'

export interface OrgImportCollaborators {
  readonly client: Client
  /** metadata.name of a Workspace in the namespace to what the cache has. */
  readonly workspace: (namespace: string, name: string) => Workspace | undefined
  /** All Workspaces that carry the label of this import, wherever they are. */
  readonly labelled: (importUid: string) => readonly Workspace[]
  readonly configMaps: (namespace: string) => ConfigMaps
  readonly references: References
}

const namespaceOf = ({ metadata }: OrgImport) => metadata.namespace ?? ''

export class OrgImportReconciler implements Reconciler<OrgImport> {
  readonly #with: OrgImportCollaborators
  readonly #renderer = new Renderer()
  readonly #tallies = new Tallies()

  constructor(collaborators: OrgImportCollaborators) {
    this.#with = collaborators
  }

  async reconcile(org: OrgImport, ctx: Context): Promise<Verdict<OrgImportStatus>> {
    if (org.metadata.deletionTimestamp !== undefined) return await this.#finish(org, ctx)
    if (org.spec.suspend) return describeSuspended(org)
    await ctx.claim()
    failpoint('claimed')
    const source = readSource(org, () => this.#with.configMaps(namespaceOf(org)))
    if (isObstacle(source)) return describeObstacle({ org }, source)
    const rendered = this.#renderer.render(org, source)
    if (isObstacle(rendered)) return describeObstacle({ org, source }, rendered)
    const environment = findEnvironment(org, rendered.env, this.#with.references)
    if (isObstacle(environment)) return describeObstacle({ org, source, rendered }, environment)

    const learned = { org, source, rendered, environment }
    const packed = pack(org.metadata.uid, org.metadata.name, rendered.nodes)
    if (packed === undefined) return describeObstacle(learned, tooManyFiles)
    const children = childrenOf(org, rendered.nodes, environment.variables, packed.refs)
    const live = (name: string) => this.#with.workspace(namespaceOf(org), name)
    const { uid: importUid } = org.metadata
    const converge = org.spec.update === 'Converge'
    const plan = planOf(children, { importUid, live, owned: this.#owned(org), converge })
    if (org.spec.dryRun || org.spec.approval === 'Manual') return describePlanned(learned, plan)

    const refused = await this.#placeFiles(learned, packed, ctx)
    if (refused !== undefined) return describeObstacle(learned, refused)
    const done = await applyChildren(plan.actions, this.#with.client, ctx.signal)
    this.#announce(done, ctx)
    return describe({ ...learned, plan, done, tally: this.#tallies.add(org, done), live })
  }

  async #placeFiles({ org }: Learned, packed: Packed, ctx: Context): Promise<Obstacle | undefined> {
    const namespace = namespaceOf(org)
    // An org without files needs nobody to open the namespace, nor can it have left any there.
    if (packed.maps.size === 0 && !this.#hadFiles(org)) return undefined
    const { state, cache } = this.#with.configMaps(namespace)
    if (state === 'syncing') return notApplied('Progressing', `the ConfigMaps of ${namespace} are being listed`, true)
    if (state !== 'synced') return notApplied('ConfigMapForbidden', openNamespace('ConfigMap', namespace))
    const get = (name: string) => cache.get(`${namespace}/${name}`)
    const files = planFiles(org, packed, get, this.#owned(org))
    if (files.taken.length > 0)
      return notApplied('Conflict', `ConfigMap "${files.taken.join('", "')}" is not of this import: delete it`, true)
    try {
      await applyFiles(files, this.#with.client, ctx.signal)
      return undefined
    } catch (error) {
      if (error instanceof KubeError && error.isForbidden)
        return notApplied('ConfigMapForbidden', openForFiles(namespace), true)
      throw error
    }
  }

  /** A label alone proves nothing: anybody can write one. */
  #owned({ metadata }: OrgImport): Workspace[] {
    return this.#with
      .labelled(metadata.uid)
      .filter(
        (live) =>
          live.metadata.namespace === metadata.namespace &&
          live.metadata.ownerReferences?.some(({ uid }) => uid === metadata.uid) === true,
      )
  }

  #hadFiles(org: OrgImport): boolean {
    return this.#owned(org).some(({ spec }) => (spec.files ?? []).length > 0)
  }

  #announce(done: readonly Done[], ctx: Context) {
    const count = (deed: Done['deed']) => done.filter((each) => each.deed === deed).length
    const [created, updated] = [count('Created'), count('Updated')]
    if (created + updated > 0) ctx.event('Normal', 'Imported', `${created} created, ${updated} updated`)
    const failed = done.find(({ deed }) => deed === 'Failed')
    if (failed !== undefined) ctx.event('Warning', 'ApplyFailed', `${failed.path}: ${failed.message ?? ''}`)
  }

  /** Children first, then their files, then the import itself: nothing of it is left, whether or not anybody collects. */
  async #finish(org: OrgImport, ctx: Context): Promise<Verdict<OrgImportStatus>> {
    const { client } = this.#with
    const children = this.#owned(org)
    const retain = org.spec.deletionPolicy === 'Retain'
    if (retain)
      await each(children, (child) => client.mergePatch(workspaceType, keyOf(child), letGo(child, org), ctx.signal))
    else {
      const staying = children.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      await each(staying, (child) => client.delete(workspaceType, keyOf(child), child.metadata.uid, ctx.signal))
      const left = this.#owned(org).length
      if (left > 0) return describeDeleting(org, `${left} workspace${left === 1 ? '' : 's'} to be gone`)
    }
    const { state, cache } = this.#with.configMaps(namespaceOf(org))
    if (state === 'syncing') return describeDeleting(org, 'the ConfigMaps of the namespace to be listed')
    // A namespace that was closed meanwhile must not hold the import back: a garbage collector has the owner to go by.
    const maps = state === 'synced' ? ownedMaps(org, (name) => cache.get(`${namespaceOf(org)}/${name}`)) : []
    await each(maps, async (map) => {
      if (retain) await client.mergePatch(dataTypes.ConfigMap, keyOf(map), letGo(map, org), ctx.signal)
      else await client.delete(dataTypes.ConfigMap, keyOf(map), map.metadata.uid, ctx.signal)
    })
    await ctx.release()
    this.#renderer.forget(org.metadata.uid)
    this.#tallies.forget(org.metadata.uid)
    return describeDeleting(org, 'nothing')
  }
}

/** Takes from an object all that ties it to an import, against the very version that was looked at. */
function letGo({ metadata }: Workspace | { metadata: Workspace['metadata'] }, org: OrgImport): object {
  const { uid, resourceVersion, ownerReferences = [] } = metadata
  return {
    metadata: {
      uid,
      resourceVersion,
      labels: { [importLabel]: null },
      annotations: { [digestAnnotation]: null, [nodeAnnotation]: null },
      ownerReferences: ownerReferences.filter((owner) => owner.uid !== org.metadata.uid),
    },
  }
}

const notApplied = (reason: Obstacle['reason'], message: string, waits = false): Obstacle => ({
  condition: 'Applied',
  reason,
  message,
  waits,
})

const tooManyFiles = notApplied('TooLarge', 'the files of the template do not fit into 256 ConfigMaps')

const openForFiles = (namespace: string) =>
  `the operator may not write ConfigMaps in namespace ${namespace}: create there the RoleBinding molecule-generated-files for ClusterRole molecule-generated-files (examples/open-namespace.yaml)`
