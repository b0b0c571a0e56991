/**
 * Which imports may start workspaces now. Each namespace has its own count, to which the bound of its imports applies;
 * one cap holds for all namespaces together and is shared equally between those that start something or want to. What is
 * starting is told by the caller; what was granted and is still on its way to the cache is counted here. Within a
 * namespace imports take turns, so that a large one does not keep a small one waiting.
 */
import type { Key } from '../../api/meta.ts'

/** Permission to begin `given` writes. */
export interface Turn {
  readonly given: number
  /** One is over: the cache has it, or it failed. */
  landed(): void
  /** No more will begin. */
  end(): void
}

export interface TurnsOptions {
  /** Workspaces of imports that are coming up, by namespace; namespaces without any are absent. */
  readonly starting: () => ReadonlyMap<string, number>
  /** All that may be starting at once, in all namespaces. */
  readonly cap: number
}

const namespaceOf = (org: Key): string => org.slice(0, org.indexOf('/'))

export class Turns {
  readonly #options: TurnsOptions
  /** Imports that want more than they got, the longest waiting first. */
  readonly #waiting = new Set<Key>()
  readonly #granted = new Map<string, number>()

  constructor(options: TurnsOptions) {
    this.#options = options
  }

  /** As many of `wanted` as may begin now; `most`: what the import bounds its namespace to. */
  take(org: Key, wanted: number, most: number): Turn {
    const namespace = namespaceOf(org)
    const free = this.#free(namespace, most)
    const queue = [...this.#waiting].filter((each) => namespaceOf(each) === namespace)
    const known = queue.indexOf(org)
    const ahead = known < 0 ? queue.length : known
    const others = queue.length - (known < 0 ? 0 : 1)
    const share = free <= ahead ? 0 : Math.max(1, Math.floor(free / (others + 1)))
    const given = Math.min(wanted, share)
    if (given > 0) this.#waiting.delete(org)
    if (given < wanted) this.#waiting.add(org)
    this.#grant(namespace, given)
    let open = given
    const giveBack = (count: number) => {
      open -= count
      this.#grant(namespace, -count)
    }
    return { given, landed: () => giveBack(1), end: () => giveBack(open) }
  }

  /** The import wants nothing now. */
  leave(org: Key): void {
    this.#waiting.delete(org)
  }

  /** Imports to look at again when something has come up. */
  get waiting(): readonly Key[] {
    return [...this.#waiting]
  }

  /**
   * What a namespace may begin. Its equal share of the cap is its own, also while others hold more than theirs: workspaces
   * that never come up keep none but their own namespace waiting. The cap is exceeded by that much at most.
   */
  #free(namespace: string, most: number): number {
    const starting = this.#options.starting()
    const inFlight = (each: string) => (starting.get(each) ?? 0) + (this.#granted.get(each) ?? 0)
    const active = new Set([namespace, ...starting.keys(), ...this.#granted.keys(), ...this.waiting.map(namespaceOf)])
    const total = [...active].reduce((sum, each) => sum + inFlight(each), 0)
    const { cap } = this.#options
    const share = Math.max(1, Math.floor(cap / active.size)) - inFlight(namespace)
    return Math.max(0, Math.min(most - inFlight(namespace), Math.max(share, cap - total)))
  }

  #grant(namespace: string, count: number): void {
    const granted = (this.#granted.get(namespace) ?? 0) + count
    if (granted === 0) this.#granted.delete(namespace)
    else this.#granted.set(namespace, granted)
  }
}
