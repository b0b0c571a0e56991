/**
 * Whose turn it is to start workspaces, across all imports. What is starting is seen in the cache; what was granted and
 * is still on its way there is counted here. First come, first served, a turn at a time, so that a large import does not
 * keep a small one waiting.
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

export class Turns {
  readonly #starting: () => number
  /** Imports that want more than they got, the longest waiting first. */
  readonly #waiting = new Set<Key>()
  #granted = 0

  /** `starting`: Workspaces of any import that are coming up. */
  constructor(starting: () => number) {
    this.#starting = starting
  }

  /** As many of `wanted` as may begin now. */
  take(org: Key, wanted: number, most: number): Turn {
    const free = Math.max(0, most - this.#starting() - this.#granted)
    const known = this.#waiting.has(org)
    const ahead = known ? [...this.#waiting].indexOf(org) : this.#waiting.size
    const others = this.#waiting.size - (known ? 1 : 0)
    const share = free <= ahead ? 0 : Math.max(1, Math.floor(free / (others + 1)))
    const given = Math.min(wanted, share)
    if (given > 0) this.#waiting.delete(org)
    if (given < wanted) this.#waiting.add(org)
    this.#granted += given
    let open = given
    const giveBack = (count: number) => {
      open -= count
      this.#granted -= count
    }
    return { given, landed: () => giveBack(1), end: () => giveBack(open) }
  }

  /** The import wants nothing now. */
  leave(org: Key): void {
    this.#waiting.delete(org)
  }

  /** Who has to be told when something has come up. */
  get waiting(): readonly Key[] {
    return [...this.#waiting]
  }
}
