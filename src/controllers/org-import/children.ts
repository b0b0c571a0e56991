/** The Workspace manifest of each node. Pure. */
import { apiVersion, finalizer } from '../../api/meta.ts'
import type { OrgImport } from '../../api/org-import.ts'
import { workspaceDir } from '../../api/workspace-identity.ts'
import type { Manifest } from '../../kube/client.ts'
import type { OrgWarning } from '../../orgs/org-error.ts'
import type { OrgNode } from '../../orgs/tree.ts'
import type { Environment, VariableRef } from './environment.ts'
import { importLabel, digestAnnotation, nodeAnnotation, idAnnotation } from './marks.ts'
import type { Match } from './match.ts'
import type { FileRef } from './packing.ts'
import { digestOf } from './steps.ts'

export interface Child extends Match {
  readonly path: string
  readonly manifest: Manifest & { readonly spec: Readonly<Record<string, unknown>> }
  /** Of the manifest. */
  readonly digest: string
  /** Of the texts of its files: they change without the manifest. */
  readonly filesDigest: string
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
  matches: readonly Match[],
  environment: Environment,
  refs: ReadonlyMap<string, readonly FileRef[]>,
): Child[] {
  return matches.map((match) => {
    const { node, name, parentName } = match
    const files = refs.get(name)
    const channels = channelsOf(node, environment)
    const env = variablesOf(environment.of(node.path))
    const envFrom = environment.secretsOf(node.path).map((secret) => ({ secretRef: { name: secret } }))
    const spec = {
      ...node.spec,
      ...folderOf(node, environment),
      ...(parentName === undefined ? {} : { parentRef: { name: parentName } }),
      ...(env.length === 0 ? {} : { env }),
      ...(envFrom.length === 0 ? {} : { envFrom }),
      ...(files === undefined ? {} : { files }),
      ...(channels.length === 0 ? {} : { channels }),
    }
    const digest = digestOf([spec, owner.metadata.uid, node.path, ...(node.id === undefined ? [] : [node.id])])
    const manifest = manifestOf(owner, match, spec, digest)
    return { ...match, path: node.path, manifest, digest, filesDigest: filesDigestOf(node) }
  })
}

/** Nothing where the variable is not there, or what it gives is no folder that may be mounted. */
function folderOf({ path, hostFolder }: OrgNode, { text }: Environment) {
  if (hostFolder === undefined) return {}
  const { variable, rest, access } = hostFolder
  const base = text(path, variable)?.replace(/\/+$/, '') ?? ''
  const found = workspaceDir().safeParse(`${base}${rest}`)
  return base !== '' && found.success ? { workspaceDir: found.data, workspaceAccess: access } : {}
}

/** Folders that are not mounted, since no ConfigMap gives the variable that they begin with. */
export const missingFolders = (nodes: readonly OrgNode[], environment: Environment): OrgWarning[] =>
  nodes.flatMap((node) => {
    const { path, hostFolder } = node
    if (hostFolder === undefined || 'workspaceDir' in folderOf(node, environment)) return []
    const message = `workspace_dir is not mounted: no ConfigMap that spec.env.from names gives ${hostFolder.variable} as an absolute path of the host`
    return [{ code: 'IneffectiveWorkspaceDir', path, message }]
  })

const variablesOf = (variables: ReadonlyMap<string, VariableRef>) =>
  [...variables].map(([name, { kind, ...ref }]) => ({
    name,
    valueFrom: kind === 'Secret' ? { secretKeyRef: ref } : { configMapKeyRef: ref },
  }))

/** Those whose variables are all there; the others are told of (missingChannels). */
const channelsOf = ({ path, channels }: OrgNode, { find }: Environment) =>
  channels.flatMap(({ name, type, config, variables, allowedUsers, enabled }) => {
    const refs = Object.entries(variables).flatMap(([setting, variable]): [string, VariableRef][] => {
      const ref = find(path, variable)
      return ref === undefined ? [] : [[setting, ref]]
    })
    if (refs.length < Object.keys(variables).length) return []
    return {
      name,
      type,
      ...(Object.keys(config).length > 0 && { config }),
      ...(refs.length > 0 && { configFrom: variablesOf(new Map(refs)) }),
      ...(allowedUsers !== undefined && { allowedUsers }),
      enabled,
    }
  })

/** Channels that are left out, since nobody gives a variable they name. */
export const missingChannels = (nodes: readonly OrgNode[], { find }: Environment): OrgWarning[] =>
  nodes.flatMap(({ path, channels }) =>
    channels.flatMap(({ type, variables }) => {
      const missing = Object.values(variables).filter((variable) => find(path, variable) === undefined)
      const message = `channel "${type}" is left out: nobody gives ${missing.join(', ')}`
      return missing.length === 0 ? [] : [{ code: 'ChannelSkipped', path, message }]
    }),
  )

const filesDigests = new WeakMap<OrgNode, string>()

/** Kept with the node, which lives as long as its template is unchanged. */
function filesDigestOf(node: OrgNode): string {
  const known = filesDigests.get(node)
  if (known !== undefined) return known
  const digest = node.files.size === 0 ? '' : digestOf([...node.files])
  filesDigests.set(node, digest)
  return digest
}

function manifestOf(
  owner: OrgImport,
  { node, name }: Match,
  spec: Readonly<Record<string, unknown>>,
  digest: string,
): Child['manifest'] {
  return {
    apiVersion,
    kind: 'Workspace',
    metadata: {
      name,
      namespace: owner.metadata.namespace ?? '',
      labels: { [importLabel]: owner.metadata.uid },
      annotations: {
        [digestAnnotation]: digest,
        [nodeAnnotation]: node.path,
        ...(node.id === undefined ? {} : { [idAnnotation]: node.id }),
      },
      finalizers: [finalizer],
      ownerReferences: [ownerOf(owner)],
    },
    spec,
  }
}
