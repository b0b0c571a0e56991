/** Records what else a workspace is made of: schedules, channels, memories, plugins, routing. Between record and observe. */
import type { PluginInstall } from '../../api/plugin-install.ts'
import type { Workspace } from '../../api/workspace.ts'
import { failpoint } from '../../failpoint.ts'
import type { Context } from '../../kube/reconciler.ts'
import type { PartStore } from '../../store/part-store.ts'
import type { WorkspaceRow } from '../../store/workspace-store.ts'
import { declaredPlugins } from './declared-plugins.ts'
import type { Look } from './environment.ts'
import type { PartsVerdict } from './judge.ts'
import { judgeParts, partsOf, recordedFaults } from './parts.ts'

export interface EquipCollaborators {
  readonly parts: PartStore
  /** Stands for the key that credentials are sealed with; undefined: there is none. */
  readonly sealing: string | undefined
  /** PluginInstalls that may have the target, as `targetIndex` names it. */
  readonly installs: (target: string) => readonly PluginInstall[]
}

/** Most workspaces have no parts: for them nothing is digested, and no statement is sent. */
export async function equip(
  workspace: Workspace,
  row: WorkspaceRow,
  look: Look,
  { parts, sealing, installs }: EquipCollaborators,
  ctx: Context,
): Promise<PartsVerdict | undefined> {
  const plugins = declaredPlugins(workspace, installs)
  if (row.partsHash === undefined && plugins.length === 0 && !hasParts(workspace)) return undefined
  const wanted = partsOf(workspace, row.id, { look, sealing, plugins })
  if ('waitingFor' in wanted) return { holds: false, reason: 'Waiting', message: `waits for ${wanted.waitingFor}` }
  if (wanted.rows.hash === row.partsHash) return judgeParts(wanted.rows, wanted.faults)
  const recorded = await parts.recordParts(wanted.rows, ctx.fence)
  failpoint('parted')
  return judgeParts(wanted.rows, [...wanted.faults, ...recordedFaults(recorded)])
}

const hasParts = ({ spec }: Workspace): boolean =>
  (spec.schedules ?? []).length > 0 ||
  (spec.channels ?? []).length > 0 ||
  (spec.memories ?? []).length > 0 ||
  spec.categoryRouting !== undefined
