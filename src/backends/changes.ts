import type { InstanceRef } from './backend.ts'

/** Refs on their way to one reader of changes(). A ref that waits already is not queued again: it is only a hint. */
export class ChangeFeed {
  readonly #waiting = new Map<string, InstanceRef>()
  #wake: (() => void) | undefined

  push(ref: InstanceRef): void {
    this.#waiting.set(ref.uid, ref)
    this.#wake?.()
  }

  /** Ends on abort, after which nothing more is yielded. */
  async *read(signal: AbortSignal): AsyncIterable<InstanceRef> {
    const wake = () => this.#wake?.()
    signal.addEventListener('abort', wake)
    try {
      while (!signal.aborted) {
        const refs = [...this.#waiting.values()]
        this.#waiting.clear()
        yield* refs
        if (this.#waiting.size > 0 || signal.aborted) continue
        await new Promise<void>((resolve) => (this.#wake = resolve))
      }
    } finally {
      signal.removeEventListener('abort', wake)
    }
  }
}
