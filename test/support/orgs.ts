/** OrgImports as a test makes and reads them. */
import type { OrgImport, OrgImportStatus } from '../../src/api/org-import.ts'
import type { Workspace } from '../../src/api/workspace.ts'
import type { Cluster } from '../../src/dev/cluster.ts'
import { encodePath } from '../../src/orgs/source-path.ts'
import { administrator, listWorkspaces, pathOf } from './admin.ts'
import type { TestOperator } from './operator.ts'
import { until } from './until.ts'
import { writesOf } from './writes.ts'

export const orgImport = (namespace: string, name: string, spec: object, metadata: object = {}) => ({
  apiVersion: 'molecule.dev/v1alpha1',
  kind: 'OrgImport',
  metadata: { name, namespace, ...metadata },
  spec,
})

/** A template folder as a ConfigMap: paths to texts. */
export const template = (namespace: string, name: string, files: Readonly<Record<string, string>>) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace },
  data: Object.fromEntries(Object.entries(files).map(([path, text]) => [encodePath(path), text])),
})

export const fromConfigMap = (name: string) => ({ source: { configMapRef: { name } } })

export async function readOrg(cluster: Cluster, namespace: string, name: string): Promise<OrgImport> {
  return (await administrator(cluster)('GET', pathOf(namespace, name, 'orgimports'))) as OrgImport
}

/** The Workspaces of a namespace by display name. */
export async function readTree(cluster: Cluster, namespace: string): Promise<Map<string, Workspace>> {
  const items = await listWorkspaces(administrator(cluster), namespace)
  return new Map(items.map((item) => [item.spec.displayName ?? item.metadata.name, item]))
}

/** `True Settled`, or undefined when there is no such condition. */
export function conditionOf(status: OrgImportStatus | undefined, type: string): string | undefined {
  const found = (status?.conditions ?? []).find((condition) => condition.type === type)
  return found && `${found.status} ${found.reason}`
}

/** Asks for a pass, and waits until it was made: what has not happened by then was not caused. */
export async function onePass(cluster: Cluster, namespace: string, name: string): Promise<void> {
  const at = String(performance.now())
  const annotations = { 'molecule.dev/reconcile-requested-at': at }
  await administrator(cluster)('PATCH', pathOf(namespace, name, 'orgimports'), { metadata: { annotations } })
  await until(async () => (await readOrg(cluster, namespace, name)).status?.lastHandledReconcileAt === at, {
    what: 'the pass that was asked for',
    within: 45_000,
  })
}

/** Waits for a pass in which nothing is written: what comes after a tree is there may take another. Gives the count of writes. */
export async function atRest(
  cluster: Cluster,
  operator: TestOperator,
  namespace: string,
  name: string,
): Promise<number> {
  let writes = -1
  await until(
    async () => {
      const before = writes
      await onePass(cluster, namespace, name)
      writes = await writesOf(operator)
      return writes === before
    },
    { what: 'a pass without a write', within: 45_000 },
  )
  return writes
}
