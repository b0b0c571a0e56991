/**
 * How many workspaces of one namespace and one Runtime may be down at once while a change reaches them. The places are
 * counted here, in the leader's memory; those that are down for another reason are added, so that a new leader starts
 * from the truth. Each namespace has its own count: what is broken in one holds up none of another.
 */
import type { Key } from '../../api/meta.ts'

/** Of the workspaces of one namespace and Runtime. */
export interface Peers {
  /** All that are meant to run. */
  readonly total: number
  /** Those that do not, by key. */
  readonly down: ReadonlySet<Key>
}

/** An absent `maxUnavailable`: a quarter, at least one. */
export const allowance = (maxUnavailable: number | undefined, total: number): number =>
  maxUnavailable ?? Math.max(1, Math.ceil(total / 4))

/** The workspaces that share one count. */
export interface Group {
  readonly namespace: string
  readonly runtime: string
}

export class Rollout {
  readonly #inside = new Map<string, Set<Key>>()
  readonly #waiting = new Map<string, Set<Key>>()
  /** The group of each key that is inside or waits: it may have another Runtime by now. */
  readonly #groups = new Map<Key, string>()
  readonly #wake: (key: Key) => void

  /** `wake` is called for one that waited when a place may be free. */
  constructor(wake: (key: Key) => void) {
    this.#wake = wake
  }

  /** Takes a place, or keeps the one it has; false: there is none, and it will be woken. */
  enter(group: Group, key: Key, limit: number, peers: Peers): boolean {
    const name = nameOf(group)
    if (this.#groups.get(key) !== name) this.#forget(key)
    const inside = setOf(this.#inside, name)
    if (inside.has(key)) return true
    this.#groups.set(key, name)
    const down = new Set([...peers.down, ...inside])
    down.delete(key)
    if (down.size >= limit) {
      setOf(this.#waiting, name).add(key)
      return false
    }
    inside.add(key)
    this.#waiting.get(name)?.delete(key)
    return true
  }

  /** It is up again, or no longer meant to be: one of its group that waits may try. */
  leave(group: Group, key: Key): void {
    this.#forget(key)
    const waiting = this.#waiting.get(nameOf(group))
    const [next] = waiting ?? []
    if (next === undefined) return
    waiting?.delete(next)
    this.#wake(next)
  }

  #forget(key: Key): void {
    const name = this.#groups.get(key)
    if (name === undefined) return
    this.#groups.delete(key)
    for (const sets of [this.#inside, this.#waiting]) {
      const keys = sets.get(name)
      keys?.delete(key)
      if (keys?.size === 0) sets.delete(name)
    }
  }
}

const nameOf = ({ namespace, runtime }: Group): string => `${namespace}/${runtime}`

function setOf(sets: Map<string, Set<Key>>, name: string): Set<Key> {
  const found = sets.get(name) ?? new Set()
  sets.set(name, found)
  return found
}
