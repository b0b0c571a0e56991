import type { KubeObject } from '../api/meta.ts'
import type { Change } from './client.ts'

/** Put on an object by a deletion that lets go of what it owns: `kubectl delete --cascade=orphan`. */
const orphanDependents = 'orphan'

/**
 * Objects that are deleted with orphan propagation. The garbage collector takes its finalizer off as soon as it has let the
 * dependents go, which may be between two passes: so it is remembered from the first sight to the end of the object. An
 * operator that was away meanwhile never saw it, and goes by the spec.
 */
export class Orphaning<T extends KubeObject> {
  readonly #uids = new Set<string>()

  constructor(source: { onChange(listener: (change: Change<T>) => void): void }) {
    source.onChange(({ before, after }) => {
      if (after === undefined) this.#uids.delete(before?.metadata.uid ?? '')
      else if (isOrphaning(after)) this.#uids.add(after.metadata.uid)
    })
  }

  has(object: T): boolean {
    return this.#uids.has(object.metadata.uid) || isOrphaning(object)
  }
}

const isOrphaning = ({ metadata: { deletionTimestamp, finalizers } }: KubeObject): boolean =>
  deletionTimestamp !== undefined && finalizers?.includes(orphanDependents) === true
