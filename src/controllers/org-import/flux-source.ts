/** From spec.source.sourceRef to the artifact that Flux keeps for it. Pure: looks into caches. */
import type { OrgImport } from '../../api/org-import.ts'
import type { ArtifactRequest } from '../../sources/source.ts'
import type { Lookup } from '../../kube/followed-namespace.ts'
import type { FluxKind, FluxSource } from '../flux-sources.ts'
import type { Obstacle } from './obstacle.ts'
import { sourceObstacle } from './source-read.ts'

type SourceRef = NonNullable<OrgImport['spec']['source']['sourceRef']>

export function artifactRequest(
  { metadata }: OrgImport,
  { kind, name, path = '' }: SourceRef,
  look: (kind: FluxKind, namespace: string, name: string) => Lookup<FluxSource>,
): ArtifactRequest | Obstacle {
  const namespace = metadata.namespace ?? ''
  const seen = look(kind, namespace, name)
  switch (seen.state) {
    case 'syncing':
      return sourceObstacle('Progressing', `${kind} "${name}" of namespace ${namespace} is being read`, true)
    case 'forbidden':
      return sourceObstacle('SourceForbidden', openForFlux(kind, namespace))
    case 'noKind':
      return sourceObstacle('SourceMissing', `the cluster has no kind ${kind}: install Flux's source controller`)
    case 'missing':
      return sourceObstacle('SourceMissing', `${kind} "${name}" does not exist in namespace ${namespace}: create it`)
    case 'exceeded':
      return sourceObstacle('QuotaExceeded', `${kind} "${name}" is not read: the limit of ${seen.limit} is exceeded`)
    case 'found':
  }
  const { artifact, trouble } = seen.object.status ?? {}
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
