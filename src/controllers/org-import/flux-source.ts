/** From spec.source.sourceRef to the artifact that Flux keeps for it. Pure: looks into caches. */
import type { OrgImport } from '../../api/org-import.ts'
import type { ArtifactRequest } from '../../sources/source.ts'
import type { FluxKind, FluxSources } from '../flux-sources.ts'
import type { Obstacle } from './obstacle.ts'
import { sourceObstacle } from './source-read.ts'

type SourceRef = NonNullable<OrgImport['spec']['source']['sourceRef']>

export function artifactRequest(
  { metadata }: OrgImport,
  { kind, name, path = '' }: SourceRef,
  fluxSources: (kind: FluxKind, namespace: string) => FluxSources,
): ArtifactRequest | Obstacle {
  const namespace = metadata.namespace ?? ''
  const { state, cache } = fluxSources(kind, namespace)
  switch (state) {
    case 'syncing':
      return sourceObstacle(
        'Progressing',
        `the objects of kind ${kind} in namespace ${namespace} are being listed`,
        true,
      )
    case 'forbidden':
      return sourceObstacle('SourceForbidden', openForFlux(kind, namespace))
    case 'missing':
      return sourceObstacle('SourceMissing', `the cluster has no kind ${kind}: install Flux's source controller`, true)
    case 'synced':
  }
  const found = cache.get(`${namespace}/${name}`)
  if (found === undefined)
    return sourceObstacle(
      'SourceMissing',
      `${kind} "${name}" does not exist in namespace ${namespace}: create it`,
      true,
    )
  const { artifact, trouble } = found.status ?? {}
  if (artifact === undefined)
    return sourceObstacle(
      'SourceNotReady',
      `${kind} "${name}" has no artifact${trouble ? `: ${trouble}` : ' yet'}`,
      true,
    )
  return { kind: 'artifact', ...artifact, path }
}

const openForFlux = (kind: FluxKind, namespace: string) =>
  `the operator may not read objects of kind ${kind} in namespace ${namespace}: create there the RoleBinding molecule-flux-sources for ClusterRole molecule-flux-sources (examples/open-namespace.yaml)`
