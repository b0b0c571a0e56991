/**
 * What becomes of things whose Workspace is gone: pure and total. Absence is weak evidence, so whatever is not known
 * for sure is reported and left.
 *
 *   live row ──(row removed, tokens revoked)──► removed row ──(instance gone)──► volumes gone
 */
import type { InstanceRef } from '../../backends/backend.ts'
import type { OwnedRow, Plane, Suspect } from '../../store/orphan-store.ts'

/** What the rows say of an owner that has no resource any more. */
export const standings = [
  'none', // no row speaks of it
  'live', // a row that was not removed: the resource was deleted by force
  'removed', // deleted, and nothing was to be kept
  'retained', // deleted with deletionPolicy Retain: instance and volumes are somebody's
  'untold', // deleted before the policy was written down
] as const
export type Standing = (typeof standings)[number]

/** `take`: remove it, once its time in quarantine is over. `wait`: something else goes first. `report`: only say so. */
export type Verdict = 'take' | 'wait' | 'report' | 'keep'

/** Total by construction. Volumes are data: without a row that says Delete they are never taken. */
const table: Record<Standing, Record<Plane, Verdict>> = {
  none: { row: 'keep', instance: 'take', volume: 'report' },
  live: { row: 'take', instance: 'wait', volume: 'wait' },
  removed: { row: 'keep', instance: 'take', volume: 'take' },
  retained: { row: 'keep', instance: 'keep', volume: 'keep' },
  untold: { row: 'keep', instance: 'report', volume: 'report' },
}

export const verdictOf = (standing: Standing, plane: Plane): Verdict => table[standing][plane]

const why: Record<Standing, string> = {
  none: 'neither a Workspace nor a row knows it',
  live: 'its Workspace is gone without having been deleted in order',
  removed: 'its Workspace was deleted',
  retained: 'its Workspace was deleted and keeps it',
  untold: 'its Workspace was deleted, and whether to keep it was never told',
}

/** An instance, or (without an id) the volumes of one, as a backend lists them. */
export interface Thing {
  readonly backend: string
  readonly ref: InstanceRef
  readonly id?: string
}

export interface Seen {
  readonly rows: readonly OwnedRow[]
  /** Owners that were deleted with Retain. */
  readonly retained: ReadonlySet<string>
  readonly things: readonly Thing[]
  /** Whether the resource of this very uid is there. */
  readonly present: (ref: InstanceRef) => boolean
}

export interface Orphan extends Suspect {
  readonly verdict: Exclude<Verdict, 'keep'>
  readonly standing: Standing
  readonly ref: InstanceRef
}

/** Everything without a resource, rows first, volumes last: the order in which it may go. */
export function findOrphans({ rows, retained, things, present }: Seen): readonly Orphan[] {
  const owners = Map.groupBy(rows, ({ ownerUid }) => ownerUid)
  const claimed = claimedOwners(rows, things, present)
  const found = new Map<string, Orphan>()
  const judge = (plane: Plane, backend: string, ref: InstanceRef) => {
    if (present(ref) || claimed.has(ref.uid)) return
    const standing = standingOf(owners.get(ref.uid) ?? [], retained.has(ref.uid))
    const verdict = verdictOf(standing, plane)
    const names = { ownerUid: ref.uid, namespace: ref.namespace, resourceName: ref.name }
    const orphan = { plane, backend, ...names, cause: why[standing], standing, ref }
    if (verdict !== 'keep') found.set(`${plane} ${backend} ${ref.uid}`, { ...orphan, verdict })
  }
  for (const row of rows) if (row.live) judge('row', row.backend, refOf(row))
  for (const { backend, ref, id } of things) if (id !== undefined) judge('instance', backend, ref)
  for (const { backend, ref, id } of things) if (id === undefined) judge('volume', backend, ref)
  return [...found.values()]
}

/** An adopted instance may still carry the mark of its first owner: the owner of the row that names it owns it and its volumes. */
function claimedOwners(rows: readonly OwnedRow[], things: readonly Thing[], present: Seen['present']): Set<string> {
  const ids = new Set(rows.filter((row) => row.live && present(refOf(row))).map(({ instanceId }) => instanceId))
  return new Set(things.filter(({ id }) => id !== undefined && ids.has(id)).map(({ ref }) => ref.uid))
}

/** Of several rows of one owner the most careful word counts. */
function standingOf(rows: readonly OwnedRow[], retained: boolean): Standing {
  if (rows.some(({ live }) => live)) return 'live'
  if (retained || rows.some(({ deletionPolicy }) => deletionPolicy === 'Retain')) return 'retained'
  if (rows.length === 0) return 'none'
  return rows.every(({ deletionPolicy }) => deletionPolicy === 'Delete') ? 'removed' : 'untold'
}

export const refOf = ({ ownerUid, namespace, resourceName }: OwnedRow): InstanceRef => ({
  uid: ownerUid,
  namespace,
  name: resourceName,
})

/** Why a sweep does nothing at all. */
export const holds = [
  'ResourcesUnreadable',
  'RowsUnreadable',
  'BackendUnreadable',
  'ResourcesEmpty',
  'TooManyMissing',
] as const
export type Hold = (typeof holds)[number]

/** Whatever the share, this many may be missing: a single forced deletion in a small installation is no catastrophe. */
const few = 3

/**
 * A plane that shows too little is taken for broken, not for empty. Counted are owners whose absence rests on the cache
 * of resources alone; that a row says `removed` is evidence of its own. `share` is of all owners known, 0 to 1.
 */
export function suspicionOf(
  orphans: readonly Orphan[],
  resources: number,
  share: number,
): { readonly hold: Hold; readonly why: string } | undefined {
  const weak = orphans.filter(({ standing, verdict }) => verdict !== 'report' && standing !== 'removed')
  const missing = new Set(weak.map(({ ownerUid }) => ownerUid)).size
  if (missing <= few || missing <= share * (resources + missing)) return undefined
  const what = `${missing} owners of rows or instances have no Workspace`
  if (resources === 0) return { hold: 'ResourcesEmpty', why: `there is not a single Workspace, but ${what}` }
  return { hold: 'TooManyMissing', why: `${what}, and only ${resources} have one` }
}
