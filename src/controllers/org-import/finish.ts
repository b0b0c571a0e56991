/** The end of an OrgImport: what it made goes with it, or is let go. */
import { keyOf, type KubeObject } from '../../api/meta.ts'
import type { OrgImport, OrgImportStatus } from '../../api/org-import.ts'
import { pluginInstallType } from '../../api/plugin-install.ts'
import { workspaceType } from '../../api/workspace.ts'
import { failpoint } from '../../failpoint.ts'
import type { Context, Verdict } from '../../kube/reconciler.ts'
import { plural } from '../../text.ts'
import { dataTypes } from '../references.ts'
import { untilRead } from '../unread.ts'
import { each } from './apply.ts'
import { digestAnnotation, idAnnotation, importLabel, nodeAnnotation, othersAnnotation } from './marks.ts'
import type { OrgImportCollaborators } from './collaborators.ts'
import { ownMaps } from './config-maps.ts'
import { describeDeleting } from './describe.ts'
import { ownedMaps } from './file-plan.ts'

/** Plugins and children first, then their files, then the import: nothing is left, with or without the garbage collector. */
export async function finish(
  org: OrgImport,
  { client, owned, installs, configMap, sources, orphans }: OrgImportCollaborators,
  ctx: Context,
): Promise<Verdict<OrgImportStatus>> {
  sources.retain(keyOf(org), new Set())
  const retain = org.spec.deletionPolicy === 'Retain' || orphans(org)
  if (retain) {
    await each(installs(org), (each) => client.mergePatch(pluginInstallType, keyOf(each), letGo(each, org), ctx.signal))
    await each(owned(org), async (child) => {
      await client.mergePatch(workspaceType, keyOf(child), letGo(child, org), ctx.signal)
      failpoint('released')
    })
  } else {
    const staying = <T extends KubeObject>(objects: readonly T[]) =>
      objects.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    await each(staying(installs(org)), (install) =>
      client.delete(pluginInstallType, keyOf(install), install.metadata.uid, ctx.signal),
    )
    await each(staying(owned(org)), (child) =>
      client.delete(workspaceType, keyOf(child), child.metadata.uid, ctx.signal),
    )
    const left = owned(org).length
    if (left > 0) return describeDeleting(org, `${plural(left, 'workspace')} to be gone`)
  }
  const own = ownMaps(org, configMap)
  if (own.lack === 'syncing') throw untilRead('its ConfigMaps to be read')
  // A namespace that was closed meanwhile must not hold the import back: a garbage collector has the owner to go by.
  // One without the owner was let go by the garbage collector, while no operator was there to see that it should be.
  const maps = ownedMaps(org, own.get).filter(({ metadata }) => retain || ownedBy(org, metadata))
  await each(maps, async (map) => {
    if (retain) await client.mergePatch(dataTypes.ConfigMap, keyOf(map), letGo(map, org), ctx.signal)
    else await client.delete(dataTypes.ConfigMap, keyOf(map), map.metadata.uid, ctx.signal)
  })
  await ctx.release()
  return describeDeleting(org, 'nothing')
}

const ownedBy = (org: OrgImport, { ownerReferences = [] }: KubeObject['metadata']) =>
  ownerReferences.some(({ uid }) => uid === org.metadata.uid)

/** Takes from an object all that ties it to an import, against the very version that was looked at. */
function letGo({ metadata }: Pick<KubeObject, 'metadata'>, org: OrgImport): object {
  const { uid, resourceVersion, ownerReferences = [] } = metadata
  return {
    metadata: {
      uid,
      resourceVersion,
      labels: { [importLabel]: null },
      annotations: { [digestAnnotation]: null, [nodeAnnotation]: null, [idAnnotation]: null, [othersAnnotation]: null },
      ownerReferences: ownerReferences.filter((owner) => owner.uid !== org.metadata.uid),
    },
  }
}
