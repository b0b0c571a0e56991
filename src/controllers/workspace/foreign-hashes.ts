/**
 * What a recorded hash stands for that was made with another key: the content that was wanted when it was first met. Kept
 * by the uid of the object, and forgotten with it.
 */
export class ForeignHashes {
  readonly #met = new Map<string, { readonly recorded: string; readonly content: string }>()

  /** Objects of which something is kept. */
  get size(): number {
    return this.#met.size
  }

  /** `content`: of what is wanted now, which is what the hash stands for if it was never met before. */
  contentOf(uid: string, recorded: string, content: string): string {
    const met = this.#met.get(uid)
    if (met?.recorded === recorded) return met.content
    this.#met.set(uid, { recorded, content })
    return content
  }

  forget(uid: string): void {
    this.#met.delete(uid)
  }
}
