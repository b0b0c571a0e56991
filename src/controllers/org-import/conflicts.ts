/**
 * Imports that cannot go on since a Workspace or ConfigMap in their place is not theirs. No reference leads from such an object
 * to them, so they are kept here, to be woken by what goes or changes hands in their namespace.
 */
import type { Key } from '../../api/meta.ts'
import { splitKey } from '../../kube/raw.ts'

export class Conflicts {
  readonly #namespaces = new Map<string, Set<Key>>()

  note(key: Key, conflicts: boolean): void {
    const [namespace = ''] = splitKey(key)
    const keys = this.#namespaces.get(namespace)
    if (conflicts) this.#namespaces.set(namespace, (keys ?? new Set()).add(key))
    else if (keys?.delete(key) === true && keys.size === 0) this.#namespaces.delete(namespace)
  }

  in(namespace: string): readonly Key[] {
    return [...(this.#namespaces.get(namespace) ?? [])]
  }
}
