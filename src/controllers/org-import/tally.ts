/** What the last pass that did anything did, for people. Kept in memory, and begun anew from the status after a start. */
import type { OrgImport } from '../../api/org-import.ts'
import { milliseconds, minutes, seconds, type Duration } from '../../duration.ts'
import type { Deed, Done } from './apply.ts'

export interface Tally {
  readonly existing: number
  readonly created: number
  readonly updated: number
  readonly deeds: ReadonlyMap<string, Deed>
  /** Passes in a row in which a node could not be applied. */
  readonly failures: number
}

export class Tallies {
  readonly #last = new Map<string, Tally>()

  add(org: OrgImport, done: readonly Done[]): Tally {
    const count = (deed: Deed) => done.filter((each) => each.deed === deed).length
    const [created, updated, failed] = [count('Created'), count('Updated'), count('Failed')]
    const last = this.#last.get(org.metadata.uid) ?? fromStatus(org, done.length)
    const deeds = new Map(done.map(({ path, deed }) => [path, deed]))
    const failures = failed > 0 ? last.failures + 1 : 0
    const tally =
      created + updated > 0
        ? { existing: count('Unchanged') + updated, created, updated, deeds, failures }
        : { ...last, failures, deeds: new Map(done.map(({ path, deed }) => [path, kept(last, path, deed)])) }
    this.#last.set(org.metadata.uid, tally)
    return tally
  }

  forget(uid: string): void {
    this.#last.delete(uid)
  }
}

/** A node that was created is shown so until something else is done. */
const kept = (last: Tally, path: string, deed: Deed): Deed => {
  const before = last.deeds.get(path)
  return deed === 'Unchanged' && before !== undefined && before !== 'Failed' ? before : deed
}

const deeds: readonly Deed[] = ['Created', 'Updated', 'Unchanged', 'Failed']

function fromStatus({ status }: OrgImport, desired: number): Tally {
  const { existing = desired, created = 0, updated = 0 } = status?.counts ?? {}
  const known = (status?.nodes ?? []).flatMap(({ path, action }): [string, Deed][] => {
    const deed = deeds.find((each) => each === action)
    return deed === undefined ? [] : [[path, deed]]
  })
  return { existing, created, updated, deeds: new Map(known), failures: 0 }
}

/** One second, then twice as long each time, up to five minutes. */
export const backoff = (failures: number): Duration =>
  milliseconds(Math.min(seconds(1) * 2 ** Math.min(failures - 1, 10), minutes(5)))
