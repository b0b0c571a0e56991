/**
 * From files to one plain value: YAML with `!include`, aliases and merge keys written out. Every value remembers where
 * it stands, so that whatever is found wrong with it later can say file, line, column and the includes that led there.
 */
import { isAlias, isMap, isScalar, isSeq } from 'yaml'
import type { Alias, Node, Pair, Scalar, YAMLMap, YAMLSeq } from 'yaml'
import { homeOf, readExternal, type External } from './externals.ts'
import type { Faults } from './faults.ts'
import type { FileTree } from './file-tree.ts'
import { limits } from './limits.ts'
import { OrgError, showPlace, type OrgErrorCode, type OrgWarning, type Path, type Place } from './org-error.ts'
import { folderOf, resolvePath } from './source-path.ts'
import { readYaml, type Budget, type YamlFile } from './yaml-file.ts'

export interface Expanded {
  /** JSON: no nulls, for a null means "not given" and leaves its key or its place in a list. */
  readonly value: unknown
  /** Where the value at this path stands, or the nearest one around it. */
  readonly placeOf: (path: Path) => Place | undefined
  readonly warnings: readonly OrgWarning[]
  /** Files that were read as YAML. */
  readonly parsed: ReadonlySet<string>
  /** Repositories that are not there; what they hold is left out of the value. */
  readonly needs: readonly External[]
}

/** Where a repository is of which a template says `org/teams` alone. */
export interface Hosts {
  /** Of all of them, whatever says so: `https://git.example`. */
  readonly standard?: string | undefined
  /** Without that, of those that the template's own files name: the host of its repository. Those of others are on theirs. */
  readonly home?: string | undefined
}

/** With `faults`, what can be read is read on, and they hold what could not be. Throws an OrgError for all else. */
export function expand(files: FileTree, entry: string, hosts: Hosts = {}, faults?: Faults): Expanded {
  const expander = new Expander(files, hosts, faults)
  const include = () => expander.include(entry, undefined)
  const read = faults === undefined ? include() : faults.attempt(include, lost)
  const value = read === lost ? undefined : read
  return {
    value,
    placeOf: (path) => expander.placeOf(value, path),
    warnings: expander.warnings,
    parsed: new Set(expander.parsed.keys()),
    needs: [...expander.needs.values()],
  }
}

/** One reading of one file: the same file included twice is read twice, with a chain of its own. */
interface Reading {
  readonly file: YamlFile
  /** The folder of the repository that the file is of; "" for the template's own. */
  readonly root: string
  /** Repositories on the way here. */
  readonly externals: number
  readonly includedFrom: readonly string[]
  /** Files on the way here, for cycles. */
  readonly active: readonly string[]
  /** What the anchors seen so far stand for. An anchor is known only after its value: nothing can contain itself. */
  readonly anchors: Map<string, unknown>
  readonly nesting: number
}

type Spot = { readonly reading: Reading; readonly offset: number }

const standardTag = 'tag:yaml.org,2002:'

class Expander {
  readonly warnings: OrgWarning[] = []
  readonly parsed = new Map<string, YamlFile>()
  readonly needs = new Map<string, External>()
  readonly #files: FileTree
  readonly #hosts: Hosts
  readonly #faults: Faults | undefined
  /** Folders of all repositories that are referred to, whether they are there or not. */
  readonly #externals = new Set<string>()
  /** Files that cannot be read: told where they are met first. */
  readonly #broken = new Set<string>()
  readonly #spots = new WeakMap<object, Map<string, Spot>>()
  readonly #budget: Budget = { tokens: limits.tokens }
  #includes = 0
  #values = 0
  #characters = 0
  #written = 0

  constructor(files: FileTree, hosts: Hosts, faults: Faults | undefined) {
    this.#files = files
    this.#hosts = hosts
    this.#faults = faults
  }

  /** What `read` gives, or `lost` when a mistake is in it that is told with the others. */
  #attempt(read: () => unknown): unknown {
    return this.#faults === undefined ? read() : this.#faults.attempt(read, lost)
  }

  /** Tells a mistake that takes nothing else with it. */
  #note(code: OrgErrorCode, message: string, node: Node, reading: Reading): void {
    const refuse = () => this.#refuse(code, message, node, reading)
    if (this.#faults === undefined) refuse()
    else this.#faults.attempt(refuse, undefined)
  }

  /** `into`: the folder of another repository, when the way leads there. */
  include(path: string, from: Spot | undefined, into?: string): unknown {
    const at = from && this.#place(from)
    const above = from?.reading
    const active = above?.active ?? []
    if (active.includes(path)) throw new OrgError('IncludeCycle', `"${path}" includes itself`, at)
    if (active.length > limits.includeDepth)
      throw new OrgError('DepthExceeded', `more than ${limits.includeDepth} includes inside one another`, at)
    if (this.#includes++ > limits.includes) throw new OrgError('TooLarge', `more than ${limits.includes} includes`, at)
    const externals = (above?.externals ?? 0) + (into === undefined ? 0 : 1)
    if (externals > limits.externalDepth)
      throw new OrgError('DepthExceeded', `more than ${limits.externalDepth} repositories inside one another`, at)
    if (this.#broken.has(path)) return lost
    this.#broken.add(path)
    const file = this.parsed.get(path) ?? this.#parse(path, at)
    this.#broken.delete(path)
    const reading: Reading = {
      file,
      root: into ?? above?.root ?? '',
      externals,
      includedFrom: at === undefined ? [] : [...at.includedFrom, showPlace(at)],
      active: [...active, path],
      anchors: new Map<string, unknown>(),
      nesting: above?.nesting ?? 0,
    }
    return file.contents === null ? undefined : this.#convert(file.contents, reading)
  }

  placeOf(root: unknown, path: Path): Place | undefined {
    let value: unknown = root
    let spot: Spot | undefined
    for (const step of path) {
      if (typeof value !== 'object' || value === null) break
      const next = this.#spots.get(value)?.get(String(step))
      if (next === undefined) break
      spot = next
      value = Array.isArray(value) ? value[Number(step)] : Object.getOwnPropertyDescriptor(value, step)?.value
    }
    return spot && this.#place(spot)
  }

  #parse(path: string, at: Place | undefined): YamlFile {
    const text = this.#files.text(path)
    if (text === undefined) {
      const why = this.#files.why(path)
      const what = `"${path}" ${why === undefined ? 'is not in the source' : `cannot be read: ${why}`}`
      throw new OrgError(at === undefined ? 'SourceInvalid' : 'IncludeMissing', what, at)
    }
    this.#characters += text.length
    if (this.#characters > limits.characters)
      throw new OrgError('TooLarge', `the template has more than ${limits.characters} characters of YAML`, at)
    const file = readYaml(path, text, at === undefined ? [] : [...at.includedFrom, showPlace(at)], this.#budget)
    if (file.more)
      this.warnings.push({ code: 'ExtraDocuments', path, message: 'only the first YAML document of this file is read' })
    this.parsed.set(path, file)
    return file
  }

  #convert(node: Node, reading: Reading): unknown {
    this.#count(reading.nesting, node, reading)
    if (isAlias(node)) {
      if (!reading.anchors.has(node.source))
        this.#refuse('SyntaxError', `nothing above is anchored as &${node.source}`, node, reading)
      return this.#copy(reading.anchors.get(node.source), reading.nesting, node, reading)
    }
    const value = this.#tagged(node, reading)
    if (node.anchor !== undefined) reading.anchors.set(node.anchor, value)
    return value
  }

  #count(nesting: number, node: Node, reading: Reading) {
    if (++this.#values > limits.values)
      this.#refuse(
        'TooLarge',
        `more than ${limits.values} values once includes and aliases are written out`,
        node,
        reading,
      )
    if (nesting > limits.nesting)
      this.#refuse('TooLarge', `more than ${limits.nesting} lists and maps inside one another`, node, reading)
  }

  #write(text: string, node: Node, reading: Reading): string {
    this.#written += text.length
    if (this.#written > limits.written)
      this.#refuse(
        'TooLarge',
        `more than ${limits.written} characters once includes and aliases are written out`,
        node,
        reading,
      )
    return text
  }

  /** What an alias stands for, written out: shared values would cost nothing here and the earth in whatever walks them. */
  #copy(value: unknown, nesting: number, alias: Alias, reading: Reading): unknown {
    this.#count(nesting, alias, reading)
    if (typeof value === 'string') return this.#write(value, alias, reading)
    if (typeof value !== 'object' || value === null) return value
    const copied: object = Array.isArray(value)
      ? value.map((item) => this.#copy(item, nesting + 1, alias, reading))
      : Object.fromEntries(
          Object.entries(value).map(([key, item]) => [key, this.#copy(item, nesting + 1, alias, reading)]),
        )
    const spots = this.#spots.get(value)
    if (spots !== undefined) this.#spots.set(copied, spots)
    return copied
  }

  #tagged(node: Exclude<Node, Alias>, reading: Reading): unknown {
    const tag = node.tag ?? standardTag
    if (tag === '!include') {
      if (!isScalar(node)) this.#refuse('InvalidField', '!include takes a path: !include teams/dev.yaml', node, reading)
      return this.#included(node, reading)
    }
    if (tag === '!external') return this.#external(node, reading)
    if (tag !== '!' && !tag.startsWith(standardTag)) return this.#unknownTag(node, tag, reading)
    const inner = { ...reading, nesting: reading.nesting + 1 }
    if (isMap(node)) return this.#map(node, inner)
    if (isSeq(node)) return this.#list(node, inner)
    return this.#scalar(node, reading)
  }

  #included(node: Scalar, reading: Reading): unknown {
    const target = (node.source ?? '').trim()
    if (target === '') this.#refuse('IncludeMissing', '!include names no file', node, reading)
    const { root, file } = reading
    const own = root === '' ? file.path : file.path.slice(root.length + 1)
    const path = resolvePath(folderOf(own), target)
    if (path === undefined) return this.#refuse('IncludeEscape', `"${target}" leaves the template`, node, reading)
    return this.include(root === '' ? path : `${root}/${path}`, spotOf(node, reading))
  }

  #external(node: Exclude<Node, Alias>, reading: Reading): unknown {
    if (!isMap(node)) return this.#refuse('InvalidField', '!external takes repo, ref and path', node, reading)
    const map = this.#map(node, { ...reading, nesting: reading.nesting + 1 })
    const { standard, home } = this.#hosts
    const read = readExternal(map, standard ?? (reading.root === '' ? home : homeOf(reading.root)))
    if (typeof read === 'string') return this.#refuse('InvalidField', read, node, reading)
    const { url, ref, folder, file } = read
    this.#externals.add(folder)
    if (this.#externals.size > limits.externals)
      this.#refuse('TooLarge', `more than ${limits.externals} other repositories`, node, reading)
    const spot = spotOf(node, reading)
    if (this.#files.below(folder).length > 0) return this.include(`${folder}/${file}`, spot, folder)
    const askedAt = showPlace(this.#place(spot))
    if (!this.needs.has(folder)) this.needs.set(folder, { url, ref, folder, askedAt })
    return undefined
  }

  /** `- !foo`, meant as a plugin opt-out, is a tag without a value to YAML. */
  #unknownTag(node: Exclude<Node, Alias>, tag: string, reading: Reading): undefined {
    if (!isScalar(node) || (node.source ?? '') !== '')
      this.#refuse(
        'InvalidField',
        `unknown tag "${tag}": only !include and !external are known; quote a text that begins with "!"`,
        node,
        reading,
      )
    const path = showPlace(this.#place(spotOf(node, reading)))
    const message = `${tag} without quotes is a YAML tag and does nothing: write "${tag}"`
    this.warnings.push({ code: 'UnquotedOptOut', path, message })
  }

  #scalar(node: Scalar, reading: Reading): unknown {
    const { value } = node
    if (value === null || value === undefined) return undefined
    if (typeof value === 'string') return this.#write(value, node, reading)
    if (typeof value === 'number' || typeof value === 'boolean') return value
    return this.#refuse('InvalidField', 'neither text, number nor true or false', node, reading)
  }

  #list(node: YAMLSeq, reading: Reading): unknown[] {
    const list: unknown[] = []
    const spots = this.#remember(list)
    for (const item of node.items) {
      if (!isNode(item)) return this.#refuse('InvalidField', 'not a plain list', node, reading)
      const value = this.#attempt(() => this.#convert(item, reading))
      const spot = spotOf(item, reading)
      if (value === lost) continue
      if (value !== undefined) {
        spots.set(String(list.length), spot)
        list.push(value)
      } else if (tagOf(item) === undefined || tagOf(item) === '!include') {
        const path = showPlace(this.#place(spot))
        this.warnings.push({ code: 'EmptyElement', path, message: 'this list element is empty and left out' })
      }
    }
    return list
  }

  #map(node: YAMLMap, reading: Reading): Record<string, unknown> {
    const own = new Map<string, unknown>()
    const spots = new Map<string, Spot>()
    const merged: unknown[] = []
    const seen = new Set<string>()
    for (const pair of node.items as Pair<Node | null, Node | null>[]) {
      if (!isScalar(pair.key))
        return this.#refuse('InvalidField', 'a key must be a plain word', pair.key ?? node, reading)
      const key = pair.key.source ?? String(pair.key.value)
      if (seen.has(key)) {
        this.#note('SyntaxError', `the key "${key}" stands here twice`, pair.key, reading)
        continue
      }
      seen.add(key)
      const { value: given } = pair
      const value =
        given === null
          ? undefined
          : this.#attempt(() => this.#placed(key, this.#convert(given, reading), given, reading))
      if (value === lost) continue
      if (key === '<<') merged.push(...(Array.isArray(value) ? value : [value]))
      else if (value !== undefined) own.set(key, value)
      spots.set(key, spotOf(pair.value !== null && (pair.value.range?.[1] ?? 0) > 0 ? pair.value : pair.key, reading))
    }
    for (const each of merged) this.#merge(each, own, spots, seen, node, reading)
    // fromEntries defines properties: a key "__proto__" is a key like any other.
    const map = Object.fromEntries(own)
    this.#spots.set(map, spots)
    return map
  }

  /** The one path that is not seen from a file but from the top: in another repository that is its own top. */
  #placed(key: string, value: unknown, node: Node, reading: Reading): unknown {
    if (reading.root === '' || key !== 'files_dir' || typeof value !== 'string' || value === '') return value
    const folder = resolvePath('', value)
    if (folder === undefined)
      return this.#refuse('IncludeEscape', `"${value}" is no folder inside its repository`, node, reading)
    return folder === '' ? reading.root : `${reading.root}/${folder}`
  }

  /** A merge key gives what the map itself does not say; of several, the first. */
  #merge(
    from: unknown,
    own: Map<string, unknown>,
    spots: Map<string, Spot>,
    seen: Set<string>,
    node: Node,
    reading: Reading,
  ) {
    if (from === undefined) return
    if (typeof from !== 'object' || from === null || Array.isArray(from))
      return this.#refuse('InvalidField', '<< takes a map, or a list of maps', node, reading)
    const known = this.#spots.get(from)
    for (const [key, value] of Object.entries(from)) {
      if (seen.has(key)) continue
      seen.add(key)
      own.set(key, value)
      const spot = known?.get(key)
      if (spot !== undefined) spots.set(key, spot)
    }
  }

  #remember(value: object): Map<string, Spot> {
    const spots = new Map<string, Spot>()
    this.#spots.set(value, spots)
    return spots
  }

  #place({ reading, offset }: Spot): Place {
    const { line, col } = reading.file.lines.linePos(offset)
    return { file: reading.file.path, line, column: col, includedFrom: reading.includedFrom }
  }

  #refuse(code: OrgErrorCode, message: string, node: Node, reading: Reading): never {
    throw new OrgError(code, message, this.#place(spotOf(node, reading)))
  }
}

/** Stands for a value that could not be read. */
const lost = Symbol('lost')
const isNode = (item: unknown): item is Node => isAlias(item) || isScalar(item) || isMap(item) || isSeq(item)
const tagOf = (node: Node): string | undefined => (isAlias(node) ? undefined : node.tag)
const spotOf = (node: Node, reading: Reading): Spot => ({ reading, offset: node.range?.[0] ?? 0 })
