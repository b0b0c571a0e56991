import type { Fence } from '../fence.ts'

/** A node's place on the canvas, absolute pixels. */
export interface Placement {
  readonly workspaceUid: string
  readonly x: number
  readonly y: number
}

/** The canvas places of imported trees. Only drawing: nothing else reads them. */
export interface LayoutStore {
  /** Writes what differs, in one statement; rows of unknown workspaces are skipped and returned as such. */
  place(placements: readonly Placement[], fence: Fence): Promise<{ written: number; unknown: readonly string[] }>
}
