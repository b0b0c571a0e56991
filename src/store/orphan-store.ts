/** What the orphan collector reads of the rows, and what it remembers between two looks. Types alone. */
import type { Fence } from '../fence.ts'
import type { WorkspaceId } from './workspace-store.ts'

/** Where something without a resource was found. */
export const planes = ['row', 'instance', 'volume'] as const
export type Plane = (typeof planes)[number]

/** A row of an owner, as far as it bears on what becomes of the owner's things. Rows that nobody owns are never told. */
export interface OwnedRow {
  readonly id: WorkspaceId
  readonly ownerUid: string
  readonly namespace: string
  readonly resourceName: string
  readonly backend: string
  readonly instanceId: string | undefined
  readonly live: boolean
  /** Undefined where no resource ever told. */
  readonly deletionPolicy: 'Delete' | 'Retain' | undefined
}

export interface Census {
  /** Every row there is, removed ones too. */
  readonly total: number
  /** Live rows of owners that are not `present`, and every row of the `strays` and their instances. */
  readonly rows: readonly OwnedRow[]
  /** Of the strays, owners that were deleted with Retain: even when the row has become another's since. */
  readonly retained: readonly string[]
}

export interface Stray {
  readonly ownerUid: string
  readonly instanceId: string
}

/** One thing of one owner; no two of a plane and backend. */
export interface Suspect {
  readonly plane: Plane
  /** Of a row: the backend it names. */
  readonly backend: string
  readonly ownerUid: string
  readonly namespace: string
  readonly resourceName: string
  /** Why it is one, for people. One line. */
  readonly cause: string
}

export interface Held {
  readonly suspect: Suspect
  /** Milliseconds since it was first found, by the clock of the database. */
  readonly age: number
  readonly reported: boolean
}

/** Reads are for anyone; whatever writes throws `Fenced` once the epoch is over. */
export interface OrphanStore {
  /** Whether this epoch is the one in which the collector of this lease first ran. */
  firstRun(fence: Fence): Promise<boolean>
  census(present: readonly string[], strays: readonly Stray[]): Promise<Census>
  /**
   * The quarantine as of now: who is new enters, who is no longer found leaves. Gives those within, and those who left
   * after they were `taken`: their end is proved, and told in `structure_events` by the same statement.
   */
  quarantine(
    found: readonly Suspect[],
    fence: Fence,
  ): Promise<{ readonly held: readonly Held[]; readonly gone: readonly Suspect[] }>
  /**
   * Written before anything is done about a suspect: `taken` (it is being removed), or `reported` (it would be). A first
   * report is told in `structure_events`. `sweep` joins them with the log.
   */
  mark(suspect: Suspect, as: 'taken' | 'reported', sweep: string, fence: Fence): Promise<void>
}
