/** The wish from outside that a watch begins with a list anew, which counts whatever its versions. */
export class ListAnew {
  #wish = new AbortController()

  /** Aborts with the next wish. */
  get signal(): AbortSignal {
    return this.#wish.signal
  }

  ask(): void {
    this.#wish.abort()
  }

  /** Whether it was asked for since the last call. */
  take(): boolean {
    if (!this.#wish.signal.aborted) return false
    this.#wish = new AbortController()
    return true
  }
}
