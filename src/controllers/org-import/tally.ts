/** What the last passes that did anything did, for people. Kept in memory, and begun anew from the status after a start. */
import type { OrgImport } from '../../api/org-import.ts'
import { milliseconds, minutes, seconds, type Duration } from '../../duration.ts'
import type { Deed, Done } from './apply.ts'

export interface Tally {
  readonly existing: number
  readonly created: number
  readonly updated: number
  readonly adopted: number
  readonly pruned: number
  readonly deeds: ReadonlyMap<string, Deed>
  /** Times in a row that a node could not be applied when it was due; what comes between, for other reasons, counts not. */
  readonly failures: number
  /** When it is due again, on the monotonic clock, and how long until then. */
  readonly retryAt: number
  readonly retryIn: Duration
  /** A run that did something, and of which something failed or waits: what comes next belongs to it. */
  readonly unfinished: boolean
}

export class Tallies {
  readonly #last = new Map<string, Tally>()

  add(org: OrgImport, done: readonly Done[], pruned: number, now = performance.now()): Tally {
    const count = (...deeds: Deed[]) => done.filter(({ deed }) => deeds.includes(deed)).length
    const known = this.#last.get(org.metadata.uid) ?? fromStatus(org)
    const [created, updated, adopted] = [count('Created'), count('Updated', 'Renamed', 'Moved'), count('Adopted')]
    const failed = count('Failed')
    const existing = done.filter(({ existed }) => existed).length
    const fresh = { existing, created, updated, adopted, pruned }
    const idle = created + updated + adopted + pruned === 0
    // What can do nothing yet begins no run: a finished one is told of, and what comes next is not added to that.
    const begun = !idle || known?.unfinished !== false
    const run = {
      ...(failed > 0 ? retryAfter(known, now) : noRetry),
      unfinished: begun && failed + count('Waiting') > 0,
      deeds: new Map(done.map(({ path, deed }) => [path, kept(known, path, deed)])),
    }
    const tally = { ...(known === undefined ? fresh : together(known, fresh, idle, done.length)), ...run }
    this.#last.set(org.metadata.uid, tally)
    return tally
  }

  forget(uid: string): void {
    this.#last.delete(uid)
  }
}

type Counts = Pick<Tally, 'existing' | 'created' | 'updated' | 'adopted' | 'pruned'>

const noRetry = { failures: 0, retryAt: 0, retryIn: milliseconds(0) }

function retryAfter(last: Tally | undefined, now: number): Pick<Tally, keyof typeof noRetry> {
  const { failures, retryAt } = last ?? noRetry
  if (failures > 0 && now < retryAt) return { failures, retryAt, retryIn: milliseconds(retryAt - now) }
  const retryIn = backoff(failures + 1)
  return { failures: failures + 1, retryAt: now + retryIn, retryIn }
}

/** A pass that did nothing tells what the last one did; what comes after an unfinished one belongs to the same run. */
const together = (last: Tally, now: Counts, idle: boolean, desired: number): Counts => {
  if (idle) return last
  return last.unfinished ? sum(last, now, desired) : now
}

/** One run over several passes. */
function sum(last: Counts, now: Counts, desired: number): Counts {
  const created = last.created + now.created
  return {
    existing: Math.max(0, Math.min(last.existing, desired - created)),
    created,
    updated: last.updated + now.updated,
    adopted: last.adopted + now.adopted,
    pruned: last.pruned + now.pruned,
  }
}

/** A node that was created is shown so until something else is done. */
const kept = (last: Tally | undefined, path: string, deed: Deed): Deed => {
  const before = last?.deeds.get(path)
  return deed === 'Unchanged' && before !== undefined && before !== 'Failed' && before !== 'Waiting' ? before : deed
}

const known: ReadonlySet<string> = new Set<Deed>(['Created', 'Updated', 'Renamed', 'Moved', 'Adopted', 'Ignored'])
const isDeed = (word: string | undefined): word is Deed => word !== undefined && known.has(word)

function fromStatus({ status }: OrgImport): Tally | undefined {
  if (status?.counts === undefined) return undefined
  const { existing = 0, created = 0, updated = 0, adopted = 0, pruned = 0 } = status.counts
  const deeds = (status.nodes ?? []).flatMap(({ path, action }): [string, Deed][] =>
    isDeed(action) ? [[path, action]] : [],
  )
  const applied = status.conditions?.find(({ type }) => type === 'Applied')
  const unfinished = applied?.status === 'False'
  return { existing, created, updated, adopted, pruned, deeds: new Map(deeds), ...noRetry, unfinished }
}

/** One second, then twice as long each time, up to five minutes. */
export const backoff = (failures: number): Duration =>
  milliseconds(Math.min(seconds(1) * 2 ** Math.min(failures - 1, 10), minutes(5)))
