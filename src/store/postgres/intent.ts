/** An intent as columns. */
import type { WorkspaceIntent } from '../workspace-store.ts'
import type { Column } from './statement.ts'

/** Columns that a later intent may change. `backend` and `status` are those of the row's birth. */
export const intended: readonly Column<WorkspaceIntent>[] = [
  ['resource_name', 'text', (i) => i.resourceName],
  ['observed_generation', 'bigint', (i) => i.generation],
  ['name', 'text', (i) => i.displayName],
  ['role', 'text', (i) => i.role],
  ['tier', 'integer', (i) => i.tier],
  ['runtime', 'text', (i) => i.runtime],
  ['model', 'text', (i) => i.model],
  ['template', 'text', (i) => i.template],
  ['spec_hash', 'text', (i) => i.specHash],
  ['workspace_dir', 'text', (i) => i.workspaceDir],
  ['workspace_access', 'text', (i) => i.workspaceAccess],
  ['max_concurrent_tasks', 'integer', (i) => i.maxConcurrentTasks],
  ['update_tier', 'text', (i) => i.updateTier],
  ['deletion_policy', 'text', (i) => i.deletionPolicy],
]
export const born: readonly Column<WorkspaceIntent>[] = [
  ['id', 'uuid', (i) => i.id],
  ['owner_uid', 'text', (i) => i.ownerUid],
  ['namespace', 'text', (i) => i.namespace],
  ['backend', 'text', (i) => i.backend],
  ['status', 'workspace_status', (i) => i.initialPhase],
  ['delivery_mode', 'text', (i) => i.deliveryMode],
]
export const canvas: readonly Column<WorkspaceIntent>[] = [
  ['canvas_x', 'double precision', (i) => i.canvas?.x],
  ['canvas_y', 'double precision', (i) => i.canvas?.y],
  ['canvas_collapsed', 'boolean', (i) => i.canvas?.collapsed],
]
/** What the row's `parent_id` is found by. */
export const kinship: readonly Column<WorkspaceIntent>[] = [
  ['parent_owner_uid', 'text', (i) => i.parentOwnerUid],
  ['keeps_parent', 'boolean', (i) => i.keepsParent],
]

export const namesOf = (columns: readonly Column<WorkspaceIntent>[]): readonly string[] => columns.map(([name]) => name)
export const list = (columns: readonly Column<WorkspaceIntent>[], table: string): string =>
  namesOf(columns)
    .map((name) => `${table}.${name}`)
    .join(', ')
export const assign = (columns: readonly Column<WorkspaceIntent>[], table: string): string =>
  namesOf(columns)
    .map((name) => `${name} = ${table}.${name}`)
    .join(', ')
