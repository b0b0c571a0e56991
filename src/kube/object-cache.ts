import { keyOf, type Key, type KubeObject } from '../api/meta.ts'
import type { Cache, Change } from './client.ts'
import { compareVersions, newerVersion, reached, wentBack, type RawObject } from './raw.ts'

/** From an object to the values it is found by. */
export type IndexFunctions<T> = Readonly<Record<string, (object: T) => readonly string[]>>

/** Deleted uids remembered, against the answer to a write that arrives after the news of the deletion. */
const mostTombstones = 1024

/**
 * The objects of one kind as last seen, by key. Versions only grow: neither a late watch event nor a relist from an older
 * server can undo what this process wrote itself. They go back with the store of the API server alone, when it is restored
 * from a backup: `contradicts` finds that out, and `reset` follows. Every change is told once, to all listeners, before the
 * call returns.
 */
export class ObjectCache<T extends KubeObject> implements Cache<T> {
  hasSynced = false
  readonly #objects = new Map<Key, T>()
  readonly #functions: IndexFunctions<T>
  readonly #indexes = new Map<string, Map<string, Set<Key>>>()
  /** By uid, the version in which a deleted object was last seen. */
  readonly #gone = new Map<string, string>()
  #newest: string | undefined
  readonly #tell: (change: Change<T>) => void

  constructor(functions: IndexFunctions<T>, tell: (change: Change<T>) => void) {
    this.#functions = functions
    this.#tell = tell
    for (const name of Object.keys(functions)) this.#indexes.set(name, new Map())
  }

  get size(): number {
    return this.#objects.size
  }

  /** The newest version of any object that was here; undefined before the first. */
  get newest(): string | undefined {
    return this.#newest
  }

  get(key: Key): T | undefined {
    return this.#objects.get(key)
  }

  values(): Iterable<T> {
    return this.#objects.values()
  }

  byIndex(name: string, value: string): readonly T[] {
    const found: T[] = []
    for (const key of this.#index(name).get(value) ?? []) {
      const object = this.#objects.get(key)
      if (object !== undefined) found.push(object)
    }
    return found
  }

  countByIndex(name: string, value: string): number {
    return this.#index(name).get(value)?.size ?? 0
  }

  /** The object, when this very version of it (or a newer one) is here already and need not be parsed again. */
  known(raw: RawObject): T | undefined {
    const present = this.#objects.get(keyOf(raw))
    if (!present || present.metadata.uid !== raw.metadata.uid) return undefined
    return compareVersions(present.metadata.resourceVersion, raw.metadata.resourceVersion) >= 0 ? present : undefined
  }

  /**
   * Whether an object in a list as of `version` is older than it was known to be by then, or known to be gone: in a history
   * that only grows there is no such list.
   */
  contradicts(raw: RawObject, version: string): boolean {
    const { uid, resourceVersion } = raw.metadata
    const gone = this.#gone.get(uid)
    if (gone !== undefined) return reached(version, gone)
    const known = this.#objects.get(keyOf(raw))?.metadata.resourceVersion
    return known !== undefined && wentBack(known, resourceVersion) && reached(version, known)
  }

  /**
   * The whole collection of a server that went back, whatever the versions: nothing that was known counts, deletions
   * included. Told as the end of every object and the beginning of each listed one, so that each is looked at as if it were
   * new: one of the same version and generation may have another content.
   */
  reset(objects: readonly T[], version: string): void {
    this.#gone.clear()
    for (const [key, object] of this.#objects) this.#remove(key, object)
    for (const object of objects) this.put(object)
    this.#newest = version
    this.hasSynced = true
  }

  /** The whole collection as of `version`: what is not in it is gone, unless we wrote it since. */
  replace(objects: readonly T[], version: string): void {
    const listed = new Set<Key>()
    for (const object of objects) {
      listed.add(keyOf(object))
      this.put(object)
    }
    for (const [key, object] of this.#objects) {
      const newer = compareVersions(object.metadata.resourceVersion, version) > 0
      if (!listed.has(key) && !newer) this.#remove(key, object)
    }
    this.hasSynced = true
  }

  /** Takes a version seen or written, if it is newer than the present one; with `again` the same version, too. */
  put(object: T, again = false): void {
    const key = keyOf(object)
    const { uid, resourceVersion } = object.metadata
    const present = this.#objects.get(key)
    if (present && compareVersions(present.metadata.resourceVersion, resourceVersion) >= (again ? 1 : 0)) return
    if (this.#gone.has(uid)) return
    this.#newest = newerVersion(this.#newest, resourceVersion)
    // Deleted and made again between two reads: both changes are told.
    if (present && present.metadata.uid !== uid) this.#remove(key, present)
    const before = this.#objects.get(key)
    this.#objects.set(key, deepFreeze(object))
    this.#reindex(key, before, object)
    this.#tell({ key, before, after: object })
  }

  /** The answer to a write of our own. Its last finalizer gone, a deleting object is gone with that same write. */
  remember(object: T): void {
    const { deletionTimestamp, finalizers } = object.metadata
    if (deletionTimestamp !== undefined && (finalizers?.length ?? 0) === 0) this.delete(object)
    else this.put(object)
  }

  delete(raw: RawObject): void {
    const key = keyOf(raw)
    this.#bury(raw)
    const present = this.#objects.get(key)
    if (!present) return
    const older = compareVersions(present.metadata.resourceVersion, raw.metadata.resourceVersion) <= 0
    if (present.metadata.uid === raw.metadata.uid || older) this.#remove(key, present)
  }

  /** Takes out an object whose newest version cannot be read, without calling it deleted for good. */
  evict(raw: RawObject): void {
    const present = this.#objects.get(keyOf(raw))
    if (present) this.#remove(keyOf(raw), present)
  }

  #index(name: string): Map<string, Set<Key>> {
    const index = this.#indexes.get(name)
    if (index) return index
    throw new RangeError(`no index "${name}": there is ${[...this.#indexes.keys()].join(', ') || 'none'}`)
  }

  #bury({ metadata: { uid, resourceVersion } }: RawObject): void {
    this.#newest = newerVersion(this.#newest, resourceVersion)
    this.#gone.set(uid, resourceVersion)
    if (this.#gone.size <= mostTombstones) return
    const [oldest] = this.#gone.keys()
    if (oldest !== undefined) this.#gone.delete(oldest)
  }

  #remove(key: Key, before: T): void {
    this.#objects.delete(key)
    this.#reindex(key, before, undefined)
    this.#tell({ key, before, after: undefined })
  }

  #reindex(key: Key, before: T | undefined, after: T | undefined): void {
    for (const [name, index] of this.#indexes) {
      const values = this.#functions[name]
      if (!values) continue
      // Most changes move nothing.
      const [was, is] = [before ? values(before) : [], after ? values(after) : []]
      for (const value of was) {
        if (is.includes(value)) continue
        const bucket = index.get(value)
        bucket?.delete(key)
        if (bucket?.size === 0) index.delete(value)
      }
      for (const value of is) {
        if (was.includes(value)) continue
        const bucket = index.get(value)
        if (bucket) bucket.add(key)
        else index.set(value, new Set([key]))
      }
    }
  }
}

/** A cached object is shared by all who read it: writing to it is a bug, and throws. */
export function deepFreeze<V>(value: V): V {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const inner of Object.values(value)) deepFreeze(inner)
  return Object.freeze(value)
}
