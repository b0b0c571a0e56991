/** The files of a template: paths and texts, checked once. */
import { limits } from './limits.ts'
import { OrgError } from './org-error.ts'
import { resolvePath } from './source-path.ts'

export type Sources = ReadonlyMap<string, string>

/** Below it are the files of other repositories (externals.ts); a template has no such folder of its own. */
export const externalsFolder = '.external'

export class FileTree {
  readonly #files: Sources
  readonly #sorted: readonly string[]
  readonly #skipped: Map<string, string>

  /**
   * `skipped`: paths of what the source left out, to why (`it is a symbolic link`). Of two paths that could not lie beside
   * each other in every file system, the second is left out, too. Throws an OrgError when a path is none.
   */
  constructor(
    own: Sources,
    externals: ReadonlyMap<string, Sources> = new Map(),
    skipped: ReadonlyMap<string, string> = new Map(),
  ) {
    for (const path of own.keys())
      if (path.startsWith(`${externalsFolder}/`))
        throw new OrgError('SourceInvalid', `"${path}": the folder ${externalsFolder} is kept for other repositories`)
    const files = new Map(own)
    for (const [folder, texts] of externals) for (const [path, text] of texts) files.set(`${folder}/${path}`, text)
    this.#files = files
    this.#skipped = new Map(skipped)
    takeOutUnfit(files, this.#skipped)
    this.#sorted = [...files.keys()].toSorted()
  }

  /** What the template itself has and no node gets, to why. */
  get skipped(): readonly (readonly [path: string, why: string])[] {
    return [...this.#skipped].filter(([path]) => !path.startsWith(`${externalsFolder}/`))
  }

  /** Why what is at that path, or a folder above it, was left out; undefined when nothing was. */
  why(path: string): string | undefined {
    for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) {
      const part = path.slice(0, end)
      const why = this.#skipped.get(part)
      if (why !== undefined) return end === path.length ? why : `of "${part}", ${why}`
    }
    return undefined
  }

  text(path: string): string | undefined {
    return this.#files.get(path)
  }

  /** Paths of all files below a folder, sorted; below "", those of the template itself. */
  below(folder: string): string[] {
    if (folder === '') return this.#sorted.filter((path) => !path.startsWith(`${externalsFolder}/`))
    const prefix = `${folder}/`
    let [low, high] = [0, this.#sorted.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#sorted[middle] ?? '') < prefix) low = middle + 1
      else high = middle
    }
    let end = low
    while (this.#sorted[end]?.startsWith(prefix) === true) end++
    return this.#sorted.slice(low, end)
  }
}

// oxlint-disable-next-line no-control-regex
const unfit = /[\0-\x1f\x7f\\]/

function takeOutUnfit(files: Map<string, string>, skipped: Map<string, string>) {
  if (files.size > limits.files)
    throw new OrgError('TooLarge', `the source has ${files.size} files, more than ${limits.files}`)
  const folders = new Set<string>()
  const folded = new Map<string, string>()
  for (const path of files.keys()) {
    if (path.length > limits.pathLength || path === '' || resolvePath('', path) !== path)
      throw new OrgError('SourceInvalid', `"${shown(path)}" is no path of a file inside the template`)
    const fold = path.normalize('NFC').toLowerCase()
    const twin = folded.get(fold)
    const why = unfit.test(path)
      ? 'its name has a control character or a backslash'
      : twin !== undefined && `it and "${twin}" are one name to some file systems`
    if (why !== false) {
      files.delete(path)
      skipped.set(path, why)
      continue
    }
    folded.set(fold, path)
    for (let cut = path.lastIndexOf('/'); cut > 0; cut = path.lastIndexOf('/', cut - 1)) {
      const folder = path.slice(0, cut)
      if (folders.has(folder)) break
      folders.add(folder)
    }
  }
  for (const folder of folders)
    if (files.has(folder)) throw new OrgError('SourceInvalid', `"${folder}" is both a file and a folder`)
}

/** For people: what cannot be seen is escaped, what does not end is cut. */
const shown = (path: string) => {
  const plain = JSON.stringify(path).slice(1, -1)
  return plain.length <= 100 ? plain : `${plain.slice(0, 99)}…`
}
