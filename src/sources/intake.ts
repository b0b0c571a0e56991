/**
 * The door through which every file of an archive or a repository comes. Names are judged before anything is read, so
 * that no later reader has to wonder what a path may do: nothing here leaves its folder, on any file system.
 */
import type { SourceLimits } from './limits.ts'
import { SourceError, type SourceFault } from './source.ts'

const longestPart = 255

export class Intake {
  readonly #limits: SourceLimits
  /** Folded spelling to the one that came first, for folders (`a/`) and files. */
  readonly #spellings = new Map<string, string>()
  readonly #files = new Set<string>()
  #entries = 0
  #bytes = 0

  constructor(limits: SourceLimits) {
    this.#limits = limits
  }

  /** The clean path of a folder; "" is the top. Throws a SourceError that names the entry and the rule. */
  folder(name: string): string {
    const path = this.#path(name)
    if (path !== '') this.#spell(path, true)
    return path
  }

  /** The clean path of a file; throws like `folder`. */
  file(name: string): string {
    const path = this.#path(name)
    if (path === '' || name.endsWith('/')) return refuse(name, 'it has no name')
    if (this.#files.has(path)) return refuse(name, 'it stands there twice')
    this.#spell(path, false)
    this.#files.add(path)
    return path
  }

  /** Called before the bytes of a file are kept. */
  keep(name: string, size: number): void {
    const { fileBytes, keptBytes } = this.#limits
    if (size > fileBytes) tooLarge(`"${shown(name)}" has more than ${fileBytes} bytes`)
    this.#bytes += size
    if (this.#bytes > keptBytes) tooLarge(`the files have more than ${keptBytes} bytes in all`)
  }

  #path(name: string): string {
    const { entries, depth, pathBytes } = this.#limits
    if (++this.#entries > entries) this.#tooMany()
    if (Buffer.byteLength(name) > pathBytes) return refuse(name, `its path has more than ${pathBytes} bytes`)
    // U+FFFD stands for bytes that are not UTF-8: two such names could not be told apart.
    // eslint-disable-next-line no-control-regex
    if (/[\u0000-\u001f\u007f\ufffd\\]/u.test(name))
      return refuse(name, 'its name has a control character, a backslash, or bytes that are not UTF-8')
    if (name.startsWith('/') || /^[A-Za-z]:/.test(name)) return refuse(name, 'its path is absolute')
    const parts = name.split('/').filter((part) => part !== '' && part !== '.')
    if (parts.includes('..')) return refuse(name, 'its path has a ".." part')
    if (parts.length > depth) return refuse(name, `it is more than ${depth} folders deep`)
    if (parts.some((part) => Buffer.byteLength(part) > longestPart))
      return refuse(name, `a part of its path has more than ${longestPart} bytes`)
    return parts.join('/')
  }

  #tooMany(): never {
    return tooLarge(`it has more than ${this.#limits.entries} files and folders`)
  }

  /** Two names that differ in case alone are one on many file systems; a name that is file and folder is none. */
  #spell(path: string, isFolder: boolean): void {
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
      } else if (first.replace(/\/$/, '') !== here)
        refuse(path, `it differs from "${shown(first)}" in upper and lower case alone`)
      else if (first !== mark) refuse(path, 'it is a file and a folder at once')
    }
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
