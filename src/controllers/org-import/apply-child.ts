/**
 * One Workspace by server-side apply. Who declares a field by an apply of their own (kubectl apply --server-side, Argo CD,
 * Flux) holds it: it is left alone, and the Workspace says so in an annotation. What was changed in passing (kubectl edit
 * and patch) is drift, and put back.
 */
import { keyOf } from '../../api/meta.ts'
import { workspaceType, type Workspace } from '../../api/workspace.ts'
import type { Client, Manifest } from '../../kube/client.ts'
import { KubeError, type Cause } from '../../kube/kube-error.ts'
import type { Child } from './children.ts'
import { covers, heldByOthers, showHolders } from './covers.ts'
import { digestAnnotation, othersAnnotation } from './marks.ts'
import type { Write } from './plan.ts'

export async function applyChild(action: Write, client: Client, signal: AbortSignal): Promise<void> {
  if (action.kind === 'create') return await put(action.child, undefined, client, signal)
  return await (action.asIs === true ? tie : put)(action.child, action.live, client, signal)
}

async function put(
  { manifest }: Child,
  live: Workspace | undefined,
  client: Client,
  signal: AbortSignal,
): Promise<void> {
  const held = live === undefined ? new Map<string, string>() : stillHeld(live, manifest)
  const uid = live?.metadata.uid
  try {
    await client.apply(workspaceType, without(manifest, held, uid), signal, 'ask')
  } catch (error) {
    if (!(error instanceof KubeError) || !error.isFieldConflict) throw error
    for (const [field, who] of declared(error.causes)) held.set(field, who)
    await client.apply(workspaceType, without(manifest, held, uid), signal, 'take')
  }
}

/**
 * Writes what ties a Workspace to this import, against the very version that was looked at, and nothing else. No apply:
 * that would take away whatever an import before this one applied.
 */
async function tie({ manifest }: Child, live: Workspace, client: Client, signal: AbortSignal): Promise<void> {
  const { labels, annotations, ownerReferences = [] } = manifest.metadata
  const { uid, resourceVersion } = live.metadata
  const others = live.metadata.ownerReferences?.filter(({ controller }) => controller !== true) ?? []
  const marks = { ...annotations, [digestAnnotation]: null }
  const metadata = {
    uid,
    resourceVersion,
    labels,
    annotations: marks,
    ownerReferences: [...others, ...ownerReferences],
  }
  await client.mergePatch(workspaceType, keyOf(live), { metadata }, signal)
}

/** Fields known to be others', as long as these say something else. */
function stillHeld(live: Workspace, { spec }: Child['manifest']): Map<string, string> {
  const present = new Map<string, unknown>(Object.entries(live.spec))
  return new Map(
    [...heldByOthers(live)].filter(
      ([field]) => field in spec && present.get(field) !== undefined && !covers(present.get(field), spec[field]),
    ),
  )
}

function without(manifest: Child['manifest'], held: ReadonlyMap<string, string>, uid: string | undefined): Manifest {
  const { metadata, spec } = manifest
  const annotations = { ...metadata.annotations, ...(held.size > 0 && { [othersAnnotation]: showHolders(held) }) }
  return {
    ...manifest,
    metadata: { ...metadata, ...(uid !== undefined && { uid }), annotations },
    spec: Object.fromEntries(Object.entries(spec).filter(([field]) => !held.has(field))),
  }
}

/**
 * Top-level fields of the spec to the managers that declare them. The API server names an update `"kubectl-edit" using
 * molecule.dev/v1alpha1 at …`, and an apply by its manager alone.
 */
function declared(causes: readonly Cause[]): Map<string, string> {
  return new Map(
    causes.flatMap(({ field = '', message = '' }): [string, string][] => {
      const name = /^\.spec\.([A-Za-z]+)/.exec(field)?.[1]
      const who = /^conflict with "([^"]*)"(.*)$/.exec(message)
      return name === undefined || who === null || who[2]?.includes(' using ') === true ? [] : [[name, who[1] ?? '']]
    }),
  )
}
