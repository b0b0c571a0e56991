/**
 * How many workspaces of one Runtime may be down at once while a change reaches them. The places are counted here, in
 * the leader's memory, since caches lag behind what this process just did; what the caches tell of others that are down
 * is added to it, so that a new leader starts from the truth.
 */
import type { Key } from '../../api/meta.ts'

/** Of the workspaces of one Runtime. */
export interface Peers {
  /** All that are meant to run. */
  readonly total: number
  /** Those that do not, by key. */
  readonly down: ReadonlySet<Key>
}

/** An absent `maxUnavailable`: a quarter, at least one. */
export const allowance = (maxUnavailable: number | undefined, total: number): number =>
  maxUnavailable ?? Math.max(1, Math.ceil(total / 4))

export class Rollout {
  readonly #inside = new Map<string, Set<Key>>()
  readonly #waiting = new Map<string, Set<Key>>()
  readonly #wake: (key: Key) => void

  /** `wake` is called for one that waited when a place may be free. */
  constructor(wake: (key: Key) => void) {
    this.#wake = wake
  }

  /** Takes a place, or keeps the one it has; false: there is none, and it will be woken. */
  enter(runtime: string, key: Key, limit: number, peers: Peers): boolean {
    const inside = this.#of(this.#inside, runtime)
    if (inside.has(key)) return true
    const down = new Set([...peers.down, ...inside])
    down.delete(key)
    if (down.size >= limit) {
      this.#of(this.#waiting, runtime).add(key)
      return false
    }
    inside.add(key)
    this.#waiting.get(runtime)?.delete(key)
    return true
  }

  /** It is up again, or no longer meant to be: one that waits may try. */
  leave(runtime: string, key: Key): void {
    const waiting = this.#waiting.get(runtime)
    waiting?.delete(key)
    this.#inside.get(runtime)?.delete(key)
    const [next] = waiting ?? []
    if (next === undefined) return
    waiting?.delete(next)
    this.#wake(next)
  }

  #of(map: Map<string, Set<Key>>, runtime: string): Set<Key> {
    const found = map.get(runtime)
    if (found !== undefined) return found
    const made = new Set<Key>()
    map.set(runtime, made)
    return made
  }
}
