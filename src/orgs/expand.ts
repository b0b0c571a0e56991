/**
 * From files to one plain value: YAML with `!include`, aliases and merge keys written out. Every value remembers where
 * it stands, so that whatever is found wrong with it later can say file, line, column and the includes that led there.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml'
import type { Alias, Node, Pair, Scalar, YAMLMap, YAMLSeq } from 'yaml'
import { limits } from './limits.ts'
import { OrgError, showPlace, type OrgErrorCode, type OrgWarning, type Place } from './org-error.ts'
import { folderOf, resolvePath } from './source-path.ts'

export type Sources = ReadonlyMap<string, string>

export interface Expanded {
  /** JSON: no nulls, for a null means "not given" and leaves its key or its place in a list. */
  readonly value: unknown
  /** Where the value at this path stands, or the nearest one around it. */
  readonly placeOf: (path: readonly PropertyKey[]) => Place | undefined
  readonly warnings: readonly OrgWarning[]
  /** Files that were read as YAML. */
  readonly parsed: ReadonlySet<string>
}

/** Throws an OrgError. */
export function expand(sources: Sources, entry: string): Expanded {
  const expander = new Expander(sources)
  const value = expander.include(entry, [])
  return {
    value,
    placeOf: (path) => expander.placeOf(value, path),
    warnings: expander.warnings,
    parsed: new Set(expander.files.keys()),
  }
}

interface File {
  readonly path: string
  readonly lines: LineCounter
  readonly contents: Node | null
}

/** One reading of one file: the same file included twice is read twice, with a chain of its own. */
interface Reading {
  readonly file: File
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
  readonly files = new Map<string, File>()
  readonly #sources: Sources
  readonly #spots = new WeakMap<object, Map<string, Spot>>()
  #includes = 0
  #values = 0
  #characters = 0

  constructor(sources: Sources) {
    this.#sources = sources
  }

  include(path: string, active: readonly string[], from?: Spot): unknown {
    const at = from && this.#place(from)
    if (active.includes(path)) throw new OrgError('IncludeCycle', `"${path}" includes itself`, at)
    if (active.length > limits.includeDepth)
      throw new OrgError('DepthExceeded', `more than ${limits.includeDepth} includes inside one another`, at)
    if (this.#includes++ > limits.includes) throw new OrgError('TooLarge', `more than ${limits.includes} includes`, at)
    const file = this.files.get(path) ?? this.#parse(path, at)
    const includedFrom = at === undefined ? [] : [...at.includedFrom, showPlace(at)]
    const nesting = from?.reading.nesting ?? 0
    const reading = { file, includedFrom, active: [...active, path], anchors: new Map<string, unknown>(), nesting }
    return file.contents === null ? undefined : this.#convert(file.contents, reading)
  }

  placeOf(root: unknown, path: readonly PropertyKey[]): Place | undefined {
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

  #parse(path: string, at: Place | undefined): File {
    const text = this.#sources.get(path)
    if (text === undefined) {
      if (at === undefined) throw new OrgError('SourceInvalid', `there is no ${path} in the source`)
      throw new OrgError('IncludeMissing', `"${path}" is not in the source`, at)
    }
    this.#characters += text.length
    if (this.#characters > limits.characters)
      throw new OrgError('TooLarge', `the template has more than ${limits.characters} characters of YAML`, at)
    const lines = new LineCounter()
    const includedFrom = at === undefined ? [] : [...at.includedFrom, showPlace(at)]
    const documents = this.#compose(text, lines, { file: path, line: 1, column: 1, includedFrom })
    const first = documents[0]
    const fault = first?.errors[0]
    if (fault !== undefined) {
      const { line, col } = lines.linePos(fault.pos[0])
      throw new OrgError('SyntaxError', fault.message, { file: path, line, column: col, includedFrom })
    }
    if (documents.length > 1)
      this.warnings.push({ code: 'ExtraDocuments', path, message: 'only the first YAML document of this file is read' })
    const file = { path, lines, contents: first?.contents ?? null }
    this.files.set(path, file)
    return file
  }

  /** Keys are checked for uniqueness here and not by the parser, which compares each with each. */
  #compose(text: string, lineCounter: LineCounter, whole: Place) {
    try {
      const documents = parseAllDocuments(text, { lineCounter, prettyErrors: false, uniqueKeys: false })
      return 'empty' in documents ? [] : documents
    } catch (cause) {
      // The parser recurses: text nested without end exhausts the stack.
      throw new OrgError('TooLarge', 'nested too deeply to be read', whole, { cause })
    }
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

  /** What an alias stands for, written out: shared values would cost nothing here and the earth in whatever walks them. */
  #copy(value: unknown, nesting: number, alias: Alias, reading: Reading): unknown {
    this.#count(nesting, alias, reading)
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
    if (tag !== '!' && !tag.startsWith(standardTag)) return this.#unknownTag(node, tag, reading)
    const inner = { ...reading, nesting: reading.nesting + 1 }
    if (isMap(node)) return this.#map(node, inner)
    if (isSeq(node)) return this.#list(node, inner)
    return this.#scalar(node, reading)
  }

  #included(node: Scalar, reading: Reading): unknown {
    const target = (node.source ?? '').trim()
    if (target === '') this.#refuse('IncludeMissing', '!include names no file', node, reading)
    const path = resolvePath(folderOf(reading.file.path), target)
    if (path === undefined) this.#refuse('IncludeEscape', `"${target}" leaves the template`, node, reading)
    return this.include(path, reading.active, spotOf(node, reading))
  }

  /** `- !foo`, meant as a plugin opt-out, is a tag without a value to YAML. */
  #unknownTag(node: Exclude<Node, Alias>, tag: string, reading: Reading): undefined {
    if (!isScalar(node) || (node.source ?? '') !== '')
      this.#refuse(
        'InvalidField',
        `unknown tag "${tag}": only !include is known; quote a text that begins with "!"`,
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
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value
    return this.#refuse('InvalidField', 'neither text, number nor true or false', node, reading)
  }

  #list(node: YAMLSeq, reading: Reading): unknown[] {
    const list: unknown[] = []
    const spots = this.#remember(list)
    for (const item of node.items) {
      if (!isNode(item)) return this.#refuse('InvalidField', 'not a plain list', node, reading)
      const value = this.#convert(item, reading)
      const spot = spotOf(item, reading)
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

  #map(node: YAMLMap, reading: Reading): object {
    const own = new Map<string, unknown>()
    const spots = new Map<string, Spot>()
    const merged: unknown[] = []
    const seen = new Set<string>()
    for (const pair of node.items as Pair<Node | null, Node | null>[]) {
      if (!isScalar(pair.key))
        return this.#refuse('InvalidField', 'a key must be a plain word', pair.key ?? node, reading)
      const key = pair.key.source ?? String(pair.key.value)
      if (seen.has(key)) this.#refuse('SyntaxError', `the key "${key}" stands here twice`, pair.key, reading)
      seen.add(key)
      const value = pair.value === null ? undefined : this.#convert(pair.value, reading)
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

const isNode = (item: unknown): item is Node => isAlias(item) || isScalar(item) || isMap(item) || isSeq(item)
const tagOf = (node: Node): string | undefined => (isAlias(node) ? undefined : node.tag)
const spotOf = (node: Node, reading: Reading): Spot => ({ reading, offset: node.range?.[0] ?? 0 })
