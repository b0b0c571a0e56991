/** The files of one commit, out of the objects that a server sent; every name goes through intake.ts. */
import { setImmediate as breathe } from 'node:timers/promises'
import { Intake, refuse, tooLarge } from './intake.ts'
import type { SourceLimits } from './limits.ts'
import type { GitObject, GitObjects } from './pack.ts'
import { SourceError, type Files } from './source.ts'

/** An object of the type that it must have. Throws a SourceError when the server left it out. */
function objectOf(objects: GitObjects, id: string, type: GitObject['type']): Buffer {
  const found = objects.get(id)
  if (found?.type === type) return found.content
  throw new SourceError('SourceInvalid', `the server did not send the ${type} ${id}, which is part of the commit`)
}

export interface Commit {
  readonly id: string
  /** As Git stores it. */
  readonly content: Buffer
  readonly tree: string
}

/** Of a commit, the message included: its signature is checked as text. */
const commitBytes = 1024 * 1024

/** The commit of that id, or the one that the tag of that id points at. */
export function commitOf(objects: GitObjects, wanted: string): Commit {
  let id = wanted
  // Ids are digests, so no tag leads back to itself.
  for (let found = objects.get(id); found?.type === 'tag'; found = objects.get(id)) id = idIn(found.content, 'object')
  const content = objectOf(objects, id, 'commit')
  if (content.length > commitBytes) tooLarge(`the commit itself has more than ${commitBytes} bytes`)
  return { id, content, tree: idIn(content, 'tree') }
}

/** What the first line of a tag or commit names. */
function idIn(content: Buffer, key: 'object' | 'tree'): string {
  const [, found, id] = /^(object|tree) ([0-9a-f]{40})\n/.exec(content.toString('latin1', 0, 64)) ?? []
  if (found !== key || id === undefined)
    throw new SourceError('SourceInvalid', 'the server sent a commit or tag that cannot be read')
  return id
}

/**
 * What is below the folder `path` of a tree ("" is the top) by paths from there. Throws a SourceError. Lets others
 * have the event loop after each folder, of which no more than the limit of entries is read.
 */
export async function filesOf(objects: GitObjects, tree: string, path: string, limits: SourceLimits) {
  return await new Checkout(objects, limits).read(tree, path)
}

class Checkout {
  readonly #objects: GitObjects
  readonly #limits: SourceLimits
  readonly #intake: Intake
  readonly #files = new Map<string, Uint8Array>()

  constructor(objects: GitObjects, limits: SourceLimits) {
    this.#objects = objects
    this.#limits = limits
    this.#intake = new Intake(limits)
  }

  async read(top: string, path: string): Promise<Files> {
    let tree = top
    for (const part of path.split('/').filter((each) => each !== '' && each !== '.')) {
      const next = this.#entries(tree).find(({ name }) => name === part)
      if (next === undefined || !isFolder(next.mode)) {
        const why = kinds[next?.mode ?? '']
        throw new SourceError(
          'SourceMissing',
          `the commit has no folder "${path}"${why === undefined ? '' : `: "${part}" is ${why}`}`,
        )
      }
      tree = next.id
      await breathe()
    }
    await this.#folder(tree, '')
    return { files: this.#files, skipped: this.#intake.skipped }
  }

  /** A tree that holds another twice, which holds another twice, ends at the limit of entries. */
  async #folder(tree: string, at: string): Promise<void> {
    await breathe()
    for (const { name, mode, id } of this.#entries(tree)) {
      const path = at === '' ? name : `${at}/${name}`
      // A tree names one thing at a time: a slash would lead past the rules of intake.
      if (unsafe.test(name)) refuse(path, 'nothing in a commit may have such a name')
      if (isFolder(mode)) {
        if (this.#intake.folder(path) !== undefined) await this.#folder(id, path)
      } else if (kinds[mode] !== undefined) this.#intake.skip(path, `it is ${kinds[mode]}`)
      else if (!/^100[0-7]{3}$/.test(mode)) refuse(path, 'it is neither a file nor a folder')
      else this.#file(path, id)
    }
  }

  #file(name: string, id: string): void {
    const path = this.#intake.file(name)
    const content = objectOf(this.#objects, id, 'blob')
    // A copy lets go of what the objects hold.
    if (path !== undefined && this.#intake.keep(path, content.length)) this.#files.set(path, new Uint8Array(content))
  }

  /** Made as they are taken: a folder of millions is given up at the limit, not read and then counted. */
  *#entries(id: string): Generator<Entry, void> {
    let count = 0
    for (const entry of entriesOf(objectOf(this.#objects, id, 'tree'))) {
      if (++count > this.#limits.entries)
        tooLarge(`a folder of the commit has more than ${this.#limits.entries} entries`)
      yield entry
    }
  }
}

/** Git's own rules: nothing that leads elsewhere, nor to ".git". */
const unsafe = /^\.{0,2}$|\/|^\.git$/i
const kinds: Readonly<Record<string, string>> = { '120000': 'a symbolic link', '160000': 'a submodule' }
const isFolder = (mode: string) => /^0?40000$/.test(mode)

interface Entry {
  readonly mode: string
  readonly name: string
  readonly id: string
}

function* entriesOf(tree: Buffer): Generator<Entry, void> {
  for (let at = 0; at < tree.length;) {
    const [space, end] = [tree.indexOf(0x20, at), tree.indexOf(0, at)]
    if (space < at || end < space || end + 21 > tree.length)
      throw new SourceError('SourceInvalid', 'the server sent a folder that cannot be read')
    const mode = tree.toString('latin1', at, space)
    yield { mode, name: tree.toString('utf8', space + 1, end), id: tree.toString('hex', end + 1, end + 21) }
    at = end + 21
  }
}
