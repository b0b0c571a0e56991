import type { Key, KubeObject } from '../api/meta.ts'

/**
 * How a kind is named on the wire, and how its JSON becomes a typed object. `parse` runs once for each object that
 * enters a cache; what it does not need (managedFields, last-applied) is already gone.
 */
export interface ResourceType<T extends KubeObject> {
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly plural: string
  readonly namespaced: boolean
  /**
   * Throws when the JSON is not such an object. The cache then keeps it out and says so; it never stops the watch. What
   * does not change within a generation may be taken from a `known` version of the object.
   */
  parse(raw: unknown, known?: T): T
  /** Makes a status one that the schema takes, whatever texts are in it. Absent: statuses are written as they are. */
  fit?(status: object): object
}

/** What a controller reads. Objects are frozen; a returned array is the caller's. */
export interface Cache<T extends KubeObject> {
  readonly hasSynced: boolean
  readonly size: number
  get(key: Key): T | undefined
  values(): Iterable<T>
  /** Objects for which the named index function gave `value`. Unknown index names throw. */
  byIndex(index: string, value: string): readonly T[]
  /** How many those are, without looking at them. */
  countByIndex(index: string, value: string): number
}

/** A change of one object in a cache. `before` is undefined for a new one, `after` for a deleted one. */
export interface Change<T extends KubeObject> {
  readonly key: Key
  readonly before: T | undefined
  readonly after: T | undefined
}

/** The body of a server-side apply: no resourceVersion, no status. */
export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    /** Only the object of this uid: a conflict when it is gone or another has its name. */
    readonly uid?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly finalizers?: readonly string[]
    readonly ownerReferences?: readonly {
      apiVersion: string
      kind: string
      name: string
      uid: string
      controller?: boolean
      blockOwnerDeletion?: boolean
    }[]
  }
  readonly spec?: unknown
  /** Of a ConfigMap. */
  readonly data?: Readonly<Record<string, string>>
}

/**
 * Writes, and the rare read past the cache. Every call has a deadline, throws `KubeError`, and is checked against the
 * fence before it is sent. GET and list retry on 429, 5xx and network errors; writes leave retrying to the queue.
 */
export interface Client {
  get<T extends KubeObject>(type: ResourceType<T>, key: Key, signal?: AbortSignal): Promise<T | undefined>
  create<T extends KubeObject>(type: ResourceType<T>, manifest: Manifest, signal?: AbortSignal): Promise<T>
  /**
   * Server-side apply by this operator's field manager. `take`: fields it names become its own, whoever had them; `ask`:
   * a KubeError (`isFieldConflict`) when others hold some of them with other values, and nothing is written.
   */
  apply<T extends KubeObject>(
    type: ResourceType<T>,
    manifest: Manifest,
    signal?: AbortSignal,
    manner?: 'take' | 'ask',
  ): Promise<T>
  mergePatch<T extends KubeObject>(type: ResourceType<T>, key: Key, patch: object, signal?: AbortSignal): Promise<T>
  mergePatchStatus<T extends KubeObject>(
    type: ResourceType<T>,
    key: Key,
    patch: object,
    signal?: AbortSignal,
  ): Promise<T>
  /** Deletes only the object of this uid. An object already gone, or another of that name, is success. */
  delete<T extends KubeObject>(type: ResourceType<T>, key: Key, uid: string, signal?: AbortSignal): Promise<void>
}
