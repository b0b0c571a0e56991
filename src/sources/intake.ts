/**
 * The door through which every file of an archive or a repository comes. Names are judged before anything is read, so
 * that no later reader has to wonder what a path may do: nothing here leaves its folder, on any file system. What leads
 * out of it refuses the whole source; what is only not supported (links, names that cannot be read) is left out, with
 * why: a repository holds more than the template that is in it.
 */
import type { SourceLimits } from './limits.ts'
import { SourceError, type SourceFault } from './source.ts'

const longestPart = 255

export class Intake {
  readonly #limits: SourceLimits
  /** Folded spelling to the one that came first, for folders (`a/`) and files. */
  readonly #spellings = new Map<string, string>()
  readonly #files = new Set<string>()
  readonly #skipped = new Map<string, string>()
  #entries = 0
  #bytes = 0

  constructor(limits: SourceLimits) {
    this.#limits = limits
  }

  /** What is left out: clean paths of files and folders to why, in the words `it is a symbolic link`. */
  get skipped(): ReadonlyMap<string, string> {
    return this.#skipped
  }

  /** The clean path of a folder; "" is the top. Undefined when it is left out. Throws a SourceError that names the entry and the rule. */
  folder(name: string): string | undefined {
    const path = this.#path(name)
    if (path === undefined || path === '') return path
    return this.#spell(path, true) ? path : undefined
  }

  /** The clean path of a file; undefined and throws like `folder`. */
  file(name: string): string | undefined {
    const path = this.#once(name)
    return path !== undefined && this.#spell(path, false) ? path : undefined
  }

  /** Leaves out what is no file, such as a link: it is neither read nor followed. */
  skip(name: string, why: string): void {
    const path = this.#once(name)
    if (path !== undefined && this.#spell(path, false)) this.#skipped.set(path, why)
  }

  /** Called before the bytes of a file are kept; false when it is left out. */
  keep(path: string, size: number): boolean {
    const { fileBytes, keptBytes } = this.#limits
    if (size > fileBytes) {
      this.#skipped.set(path, `it has more than ${fileBytes} bytes`)
      return false
    }
    this.#bytes += size
    if (this.#bytes > keptBytes) tooLarge(`the files have more than ${keptBytes} bytes in all`)
    return true
  }

  #once(name: string): string | undefined {
    const path = this.#path(name)
    if (path === undefined) return undefined
    if (path === '' || name.endsWith('/')) return refuse(name, 'it has no name')
    if (this.#files.has(path)) return refuse(name, 'it stands there twice')
    this.#files.add(path)
    return path
  }

  #path(name: string): string | undefined {
    const { entries, depth, pathBytes } = this.#limits
    if (++this.#entries > entries) this.#tooMany()
    const leave = (why: string) => void this.#skipped.set(shown(name), why)
    if (Buffer.byteLength(name) > pathBytes) return leave(`its path has more than ${pathBytes} bytes`)
    // U+FFFD stands for bytes that are not UTF-8: two such names could not be told apart.
    // eslint-disable-next-line no-control-regex
    if (/[\u0000-\u001f\u007f\ufffd\\]/u.test(name))
      return leave('its name has a control character, a backslash, or bytes that are not UTF-8')
    if (name.startsWith('/') || /^[A-Za-z]:/.test(name)) return refuse(name, 'its path is absolute')
    const parts = name.split('/').filter((part) => part !== '' && part !== '.')
    if (parts.includes('..')) return refuse(name, 'its path has a ".." part')
    if (parts.length > depth) return refuse(name, `it is more than ${depth} folders deep`)
    if (parts.some((part) => Buffer.byteLength(part) > longestPart))
      return leave(`a part of its path has more than ${longestPart} bytes`)
    return parts.join('/')
  }

  #tooMany(): never {
    return tooLarge(`it has more than ${this.#limits.entries} files and folders`)
  }

  /**
   * Two names that differ in case alone are one on many file systems: the first is kept, and false given for the other. A
   * name that is file and folder is none.
   */
  #spell(path: string, isFolder: boolean): boolean {
    const parts = path.split('/')
    for (let i = 1; i <= parts.length; i++) {
      const here = parts.slice(0, i).join('/')
      const folder = isFolder || i < parts.length
      const folded = here.normalize('NFC').toLowerCase()
      const first = this.#spellings.get(folded)
      const mark = folder ? `${here}/` : here
      if (first === undefined) {
        this.#spellings.set(folded, mark)
        // Folders that only paths speak of count, too: a path may name thirty that no other does.
        if (this.#spellings.size > this.#limits.entries) this.#tooMany()
      } else if (first.replace(/\/$/, '') !== here) {
        this.#skipped.set(here, `it differs from "${shown(first)}" in upper and lower case alone`)
        return false
      } else if (first !== mark) refuse(path, 'it is a file and a folder at once')
    }
    return true
  }
}

/** Of hostile names, only what a person can read. */
const shown = (name: string): string => {
  const plain = name.replaceAll(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, '?')
  return plain.length > 120 ? `${plain.slice(0, 119)}…` : plain
}

const fail = (fault: SourceFault, message: string): never => {
  throw new SourceError(fault, message)
}

/** Refuses an entry by name. */
export const refuse = (name: string, rule: string): never =>
  fail('SourceInvalid', `"${shown(name)}" is refused: ${rule}`)

export const tooLarge = (what: string): never => fail('SourceTooLarge', what)
