/** The limits of what is held in memory of other people's objects. */
export interface AllowanceLimits {
  readonly perNamespace: number
  readonly total: number
  /** A namespace that holds no more than this is served although the total is reached: others cannot shut it out. */
  readonly always: number
}

const mebibytes = (bytes: number) => `${Math.round(bytes / 1024 / 1024)} MiB`

/** Counts the bytes that are held of each namespace, against a limit for it and one for all. */
export class Allowance {
  readonly limits: AllowanceLimits
  readonly #used = new Map<string, number>()
  readonly #freed = new Set<(namespace: string) => void>()
  #total = 0

  constructor(limits: AllowanceLimits) {
    this.limits = limits
  }

  get total(): number {
    return this.#total
  }

  used(namespace: string): number {
    return this.#used.get(namespace) ?? 0
  }

  /** The limit that so many more bytes would exceed, in words that name no other namespace; undefined: they fit. */
  exceeded(namespace: string, bytes: number): string | undefined {
    const { perNamespace, total, always } = this.limits
    const used = this.used(namespace) + bytes
    if (used > perNamespace) return `${mebibytes(perNamespace)} for a namespace`
    if (used > always && this.#total + bytes > total) return `${mebibytes(total)} for all namespaces`
    return undefined
  }

  take(namespace: string, bytes: number): void {
    this.#used.set(namespace, this.used(namespace) + bytes)
    this.#total += bytes
  }

  give(namespace: string, bytes: number): void {
    const left = this.used(namespace) - bytes
    if (left > 0) this.#used.set(namespace, left)
    else this.#used.delete(namespace)
    this.#total -= bytes
    for (const listener of this.#freed) listener(namespace)
  }

  /** Told when bytes became free: what was refused may fit now. */
  onFreed(listener: (namespace: string) => void): void {
    this.#freed.add(listener)
  }
}

/** Roughly the memory of a parsed JSON value: its text, and a pointer for each value. */
export function sizeOf(value: unknown): number {
  if (typeof value === 'string') return value.length + 16
  if (typeof value !== 'object' || value === null) return 8
  // Every object that enters a cache is measured: lists by their items and objects by their keys take half as long as `for in`.
  let bytes = 32
  if (Array.isArray(value)) {
    for (const item of value) bytes += 16 + sizeOf(item)
    return bytes
  }
  const members = value as Readonly<Record<string, unknown>>
  for (const name of Object.keys(members)) bytes += name.length + 16 + sizeOf(members[name])
  return bytes
}
