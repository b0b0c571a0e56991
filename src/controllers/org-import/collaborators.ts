import type { OrgImport } from '../../api/org-import.ts'
import type { PluginInstall } from '../../api/plugin-install.ts'
import type { Workspace } from '../../api/workspace.ts'
import type { Client } from '../../kube/client.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { PassResult } from '../fleet.ts'
import type { Catalog } from './catalog.ts'
import type { Conflicts } from './conflicts.ts'
import type { SourceViews } from './source.ts'
import type { Turns } from './turns.ts'

/** What the reconciler sees and uses. */
export interface OrgImportCollaborators extends SourceViews {
  readonly client: Client
  /** metadata.name of a Workspace in the namespace to what the cache has. */
  readonly workspace: (namespace: string, name: string) => Workspace | undefined
  /** What the last pass of this leader found of it. */
  readonly result: (workspace: Workspace) => PassResult | undefined
  /** Those of a display name under a parent. */
  readonly siblings: (namespace: string, parent: string | undefined, displayName: string) => readonly Workspace[]
  /** All Workspaces that this import owns: a label alone proves nothing, since every tenant can write one. */
  readonly owned: (org: OrgImport) => readonly Workspace[]
  readonly catalog: () => Catalog
  /** Of Workspaces that name none. */
  readonly defaultBackend: string
  readonly installs: (org: OrgImport) => readonly PluginInstall[]
  /** The import of this uid, as long as there is one. */
  readonly importOf: (uid: string) => OrgImport | undefined
  /** Told of imports that are gone from the cache, with or without a pass of their own. */
  readonly onGone: (listener: (org: OrgImport) => void) => void
  /** Whether the import is deleted with orphan propagation: all that it made stays. */
  readonly orphans: (org: OrgImport) => boolean
  readonly turns: Turns
  /** Imports that something of others is in the way of. */
  readonly conflicts: Conflicts
  readonly metrics: Metrics
}
