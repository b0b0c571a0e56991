import { newerVersion, reached, wentBack, type RawObject } from './raw.ts'

/** All that is kept of an object that nothing refers to. */
export interface Name {
  readonly name: string
  readonly version: string
  readonly mark: string | undefined
}

/** The names of one kind in one namespace with their versions, and how far those have come. */
export class KnownNames {
  readonly #names = new Map<string, Name>()
  #newest: string | undefined

  /** The newest version of any object that was here; undefined before the first. */
  get newest(): string | undefined {
    return this.#newest
  }

  get size(): number {
    return this.#names.size
  }

  get(name: string): Name | undefined {
    return this.#names.get(name)
  }

  has(name: string): boolean {
    return this.#names.has(name)
  }

  values(): Iterable<Name> {
    return this.#names.values()
  }

  set(named: Name): void {
    this.#newest = newerVersion(this.#newest, named.version)
    this.#names.set(named.name, named)
  }

  delete(name: string): void {
    this.#names.delete(name)
  }

  clear(): void {
    this.#names.clear()
  }

  /** As `ObjectCache.contradicts`. */
  contradicts({ metadata }: RawObject, version: string): boolean {
    const known = this.#names.get(metadata.name)?.version
    return known !== undefined && wentBack(known, metadata.resourceVersion) && reached(version, known)
  }

  /** All names of a server that went back, whatever the versions. */
  reset(names: readonly Name[], version: string): void {
    this.#names.clear()
    for (const named of names) this.set(named)
    this.#newest = version
  }
}
