/** Rows that the system before left behind, and which namespace may adopt each. An administrator's view; no operator runs it. */

/** A row without an owner. */
export interface LegacyRow {
  readonly id: string
  /** Its display name. */
  readonly name: string
  readonly status: string
  readonly backend: string
  readonly instanceId: string | undefined
  /** Whose Workspaces may adopt it; undefined: none may. */
  readonly assignedTo: string | undefined
}

/** Why a row was left as it is: there is none of this id, or a Workspace has it or had it. */
export type Unassignable = 'unknown' | 'owned'

export interface AssignmentStore {
  /** Every row without an owner, by name. */
  list(): Promise<readonly LegacyRow[]>
  /** Gives the row to a namespace, in place of the one it was assigned to; undefined takes it back. */
  assign(row: string, namespace: string | undefined): Promise<'done' | Unassignable>
  close(): Promise<void>
}
