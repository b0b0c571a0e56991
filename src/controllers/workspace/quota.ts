/** How many Workspaces a namespace may have: the oldest so many are acted on, those after them wait. */
import { keyOf, type Key } from '../../api/meta.ts'
import type { Workspace } from '../../api/workspace.ts'
import type { Change } from '../../kube/client.ts'
import type { Source } from '../../kube/controller.ts'

interface Place {
  readonly created: string
  readonly name: string
}

const placeOf = ({ metadata }: Workspace): Place => ({ created: metadata.creationTimestamp, name: metadata.name })

/** Times of Kubernetes have one form and one zone, so that text is in the order of time. */
const isBefore = (a: Place, b: Place) => (a.created === b.created ? a.name < b.name : a.created < b.created)

/**
 * The Workspaces of each namespace in the order of their age, names breaking the tie: the same order after a restart.
 * `wake` is called for those that a change of others moves across the limit.
 */
export class WorkspaceQuota {
  readonly limit: number
  readonly #wake: (key: Key) => void
  readonly #places = new Map<string, Place[]>()

  constructor(limit: number, workspaces: Source<Change<Workspace>>, wake: (key: Key) => void) {
    this.limit = limit
    this.#wake = wake
    workspaces.onChange(({ before, after }) => {
      if (before?.metadata.uid === after?.metadata.uid) return
      if (before !== undefined) this.#leave(before)
      if (after !== undefined) this.#enter(after)
    })
  }

  /** Whether so many older ones are there that this one has to wait. */
  exceeded(workspace: Workspace): boolean {
    const places = this.#places.get(workspace.metadata.namespace ?? '') ?? []
    return places.length > this.limit && rankOf(places, placeOf(workspace)) >= this.limit
  }

  #enter(workspace: Workspace): void {
    const { namespace = '' } = workspace.metadata
    const places = this.#places.get(namespace) ?? []
    this.#places.set(namespace, places)
    const rank = rankOf(places, placeOf(workspace))
    places.splice(rank, 0, placeOf(workspace))
    if (rank < this.limit) this.#tell(namespace, places[this.limit])
  }

  #leave(workspace: Workspace): void {
    const { namespace = '' } = workspace.metadata
    const places = this.#places.get(namespace) ?? []
    const rank = rankOf(places, placeOf(workspace))
    if (places[rank]?.name !== workspace.metadata.name) return
    places.splice(rank, 1)
    if (places.length === 0) this.#places.delete(namespace)
    if (rank < this.limit) this.#tell(namespace, places[this.limit - 1])
  }

  #tell(namespace: string, place: Place | undefined): void {
    if (place !== undefined) this.#wake(keyOf({ metadata: { namespace, name: place.name } }))
  }
}

/** How many stand before it, found by halving. */
function rankOf(places: readonly Place[], place: Place): number {
  let [from, to] = [0, places.length]
  while (from < to) {
    const middle = (from + to) >> 1
    const there = places[middle]
    if (there !== undefined && isBefore(there, place)) from = middle + 1
    else to = middle
  }
  return from
}
