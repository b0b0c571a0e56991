/**
 * Places in the tree that an import is about to fill. Two imports of one tree may plan in the same moment, when neither
 * sees the other in the cache: the one that plans first has the place until its writes are there to be seen. One process
 * leads, so its memory is enough.
 */
export class Claims {
  readonly #holders = new Map<string, { readonly uid: string; readonly name: string }>()

  /** Takes all the places, or none: then it says which import has one of them. */
  take(org: { readonly uid: string; readonly name: string }, places: readonly string[]) {
    for (const place of places) {
      const holder = this.#holders.get(place)
      if (holder !== undefined && holder.uid !== org.uid) return { by: holder.name }
    }
    for (const place of places) this.#holders.set(place, org)
    return undefined
  }

  release(places: readonly string[]): void {
    for (const place of places) this.#holders.delete(place)
  }
}
