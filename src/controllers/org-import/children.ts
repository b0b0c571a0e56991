/** The Workspace manifest of each node. Pure. */
import { createHash } from 'node:crypto'
import { apiVersion, finalizer, group } from '../../api/meta.ts'
import type { OrgImport } from '../../api/org-import.ts'
import type { Manifest } from '../../kube/client.ts'
import type { OrgNode } from '../../orgs/tree.ts'
import type { VariableRef } from './environment.ts'
import type { FileRef } from './packing.ts'

/** On everything an import made: its metadata.uid. */
export const importLabel = `${group}/org-import`
/** On a child: digest of what was applied last. */
export const digestAnnotation = `${group}/applied-digest`
/** On a child: the path of its node. */
export const nodeAnnotation = `${group}/org-node`

export interface Child {
  readonly path: string
  readonly name: string
  readonly manifest: Manifest
  readonly digest: string
}

export const ownerOf = ({ metadata }: OrgImport) => ({
  apiVersion,
  kind: 'OrgImport',
  name: metadata.name,
  uid: metadata.uid,
  controller: true,
  blockOwnerDeletion: false,
})

export function childrenOf(
  owner: OrgImport,
  nodes: readonly OrgNode[],
  variables: ReadonlyMap<string, VariableRef>,
  refs: ReadonlyMap<string, readonly FileRef[]>,
): Child[] {
  const names = new Map(nodes.map(({ path, name }) => [path, name]))
  const above = owner.spec.target?.parentRef?.name
  const env = [...variables].map(([name, { kind, ...ref }]) => ({
    name,
    valueFrom: kind === 'Secret' ? { secretKeyRef: ref } : { configMapKeyRef: ref },
  }))
  return nodes.map(({ path, parentPath, name, spec }) => {
    const parent = parentPath === undefined ? above : names.get(parentPath)
    const files = refs.get(name)
    return child(owner, path, name, {
      ...spec,
      ...(parent === undefined ? {} : { parentRef: { name: parent } }),
      ...(env.length === 0 ? {} : { env }),
      ...(files === undefined ? {} : { files }),
    })
  })
}

function child(owner: OrgImport, path: string, name: string, spec: object): Child {
  const labels = { [importLabel]: owner.metadata.uid }
  const ownerReferences = [ownerOf(owner)]
  const digest = createHash('sha256')
    .update(JSON.stringify([spec, labels, ownerReferences, path]))
    .digest('hex')
  const manifest: Manifest = {
    apiVersion,
    kind: 'Workspace',
    metadata: {
      name,
      namespace: owner.metadata.namespace ?? '',
      labels,
      annotations: { [digestAnnotation]: digest.slice(0, 32), [nodeAnnotation]: path },
      finalizers: [finalizer],
      ownerReferences,
    },
    spec,
  }
  return { path, name, manifest, digest: digest.slice(0, 32) }
}
