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

  /** Throws an OrgError when a path is none, or when two could not lie beside each other in every file system. */
  constructor(own: Sources, externals: ReadonlyMap<string, Sources> = new Map()) {
    for (const path of own.keys())
      if (path.startsWith(`${externalsFolder}/`))
        throw new OrgError('SourceInvalid', `"${path}": the folder ${externalsFolder} is kept for other repositories`)
    const files = new Map(own)
    for (const [folder, texts] of externals) for (const [path, text] of texts) files.set(`${folder}/${path}`, text)
    this.#files = files
    this.#sorted = [...files.keys()].toSorted()
    checkPaths(files)
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

function checkPaths(files: Sources) {
  if (files.size > limits.files)
    throw new OrgError('TooLarge', `the source has ${files.size} files, more than ${limits.files}`)
  const folders = new Set<string>()
  const folded = new Map<string, string>()
  for (const path of files.keys()) {
    if (path.length > limits.pathLength || unfit.test(path) || path === '' || resolvePath('', path) !== path)
      throw new OrgError('SourceInvalid', `"${shown(path)}" is no path of a file inside the template`)
    const fold = path.normalize('NFC').toLowerCase()
    const twin = folded.get(fold)
    if (twin !== undefined)
      throw new OrgError('SourceInvalid', `"${twin}" and "${path}" are one name to some file systems: rename one`)
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
