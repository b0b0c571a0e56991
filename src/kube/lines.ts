/** Cuts chunks into lines, each byte looked at once: a line may span many chunks without being joined each time. */
export class LineSplitter {
  #rest: Buffer[] = []

  /** The lines that `chunk` completes, without their ends; empty ones are left out. */
  push(chunk: Buffer): string[] {
    const lines: string[] = []
    let from = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      const piece = chunk.subarray(from, end)
      const line = this.#rest.length === 0 ? piece : Buffer.concat([...this.#rest, piece])
      this.#rest = []
      if (line.length > 0) lines.push(line.toString('utf8'))
      from = end + 1
    }
    if (from < chunk.length) this.#rest.push(chunk.subarray(from))
    return lines
  }
}
