/**
 * Which Workspace is which node. Names of objects cannot change, so a Workspace keeps the one it was made with, and is
 * known by what it carries: the stable id of its node, or its path. Pure.
 */
import type { Workspace } from '../../api/workspace.ts'
import { ownedName } from '../../orgs/names.ts'
import type { OrgNode } from '../../orgs/tree.ts'
import { idAnnotation, nodeAnnotation } from './marks.ts'

export interface Match {
  readonly node: OrgNode
  /** metadata.name of its Workspace: of the one that is there, or of the one that will be. */
  readonly name: string
  /** metadata.name of the Workspace above it; undefined for a root of the namespace. */
  readonly parentName: string | undefined
  /** The Workspace of this import. */
  readonly live: Workspace | undefined
  /** One of the same name under the same parent that is not of this import. */
  readonly stranger: Workspace | undefined
}

export interface Matched {
  /** In the order of the nodes. */
  readonly matches: readonly Match[]
  /** Of this import, and of no node any more. */
  readonly leavers: readonly Workspace[]
}

export interface Surroundings {
  readonly importUid: string
  /** `spec.target.parentRef`. */
  readonly above: string | undefined
  /** Workspaces of this import. */
  readonly owned: readonly Workspace[]
  /** Old paths to new ones. */
  readonly renames: Readonly<Record<string, string>>
  /** Paths that are left out with all below them. */
  readonly exclude: readonly string[] | undefined
  /** Any Workspace of the namespace, by metadata.name. */
  readonly present: (name: string) => Workspace | undefined
  /** Workspaces of a display name under a parent, whosever they are. */
  readonly siblings: (parentName: string | undefined, displayName: string) => readonly Workspace[]
}

export function match(nodes: readonly OrgNode[], around: Surroundings): Matched {
  const matcher = new Matcher(around, nodes)
  matcher.byIdentity(nodes)
  matcher.byDescent(nodes)
  return { matches: matcher.settle(nodes), leavers: matcher.free() }
}

export const pathOf = ({ metadata }: Workspace): string | undefined => metadata.annotations?.[nodeAnnotation]
const idOf = ({ metadata }: Workspace): string | undefined => metadata.annotations?.[idAnnotation]

class Matcher {
  readonly #around: Surroundings
  /** By path of the node. */
  readonly #found = new Map<string, Workspace>()
  readonly #free: Set<Workspace>
  readonly #byPath = new Map<string, Workspace>()
  readonly #byId = new Map<string, Workspace>()
  /** Those that do not say what they stand for. */
  readonly #byPlace = new Map<string, Workspace>()
  readonly #oldPaths: ReadonlyMap<string, string>
  readonly #owned: ReadonlySet<Workspace>
  /** By the last part of their path. */
  readonly #left = new Groups<Workspace>()
  readonly #came = new Groups<OrgNode>()

  constructor(around: Surroundings, nodes: readonly OrgNode[]) {
    this.#around = around
    this.#owned = new Set(around.owned)
    // Of two with the same annotations the older one is meant: the other is a copy.
    const owned = around.owned.toSorted((a, b) => (age(a) < age(b) ? -1 : 1))
    this.#free = new Set(owned)
    for (const live of owned) {
      const [path, id] = [pathOf(live), idOf(live)]
      if (path !== undefined && !this.#byPath.has(path)) this.#byPath.set(path, live)
      if (id !== undefined && !this.#byId.has(id)) this.#byId.set(id, live)
      if (path === undefined) this.#byPlace.set(placeOf(live.spec.parentRef?.name, live.spec.displayName), live)
      // A node that is excluded has not moved elsewhere.
      if (!isExcluded(live, around.exclude)) this.#left.add(lastOf(path ?? ''), live)
    }
    for (const node of nodes) this.#came.add(lastOf(node.path), node)
    this.#oldPaths = new Map(Object.entries(around.renames).map(([from, to]) => [to, from]))
  }

  /** What carries the very id or path comes first: no rename may take it away. */
  byIdentity(nodes: readonly OrgNode[]): void {
    for (const node of nodes) if (node.id !== undefined) this.#take(node, this.#byId.get(node.id))
    for (const node of nodes) this.#take(node, this.#byPath.get(node.path))
  }

  /** Parents before children: a child of a renamed or moved parent is found by its old path below it. */
  byDescent(nodes: readonly OrgNode[]): void {
    for (const node of nodes) this.#follow(node)
    for (const node of nodes) {
      this.#follow(node)
      if (!this.#found.has(node.path)) this.#take(node, this.#mover(node))
    }
  }

  settle(nodes: readonly OrgNode[]): Match[] {
    const names = new Map<string, string>()
    return nodes.map((node): Match => {
      const live = this.#found.get(node.path)
      const parentName = node.parentPath === undefined ? this.#around.above : names.get(node.parentPath)
      const stranger = live === undefined ? this.#stranger(parentName, node.spec.displayName) : undefined
      const name = live?.metadata.name ?? stranger?.metadata.name ?? this.#freshName(node)
      names.set(node.path, name)
      return { node, name, parentName, live, stranger }
    })
  }

  free(): Workspace[] {
    return [...this.#free]
  }

  #take(node: OrgNode, live: Workspace | undefined): void {
    if (live === undefined || this.#found.has(node.path) || !this.#free.has(live)) return
    const id = idOf(live)
    if (node.id !== undefined && id !== undefined && id !== node.id) return
    this.#free.delete(live)
    this.#left.of(lastOf(pathOf(live) ?? '')).delete(live)
    this.#came.of(lastOf(node.path)).delete(node)
    this.#found.set(node.path, live)
  }

  #follow(node: OrgNode): void {
    const parent = node.parentPath === undefined ? undefined : this.#found.get(node.parentPath)
    const parentWas = parent && pathOf(parent)
    const candidates = [
      this.#oldPaths.get(node.path),
      parentWas === undefined ? undefined : `${parentWas}/${lastOf(node.path)}`,
    ]
    for (const path of candidates) if (path !== undefined) this.#take(node, this.#byPath.get(path))
    // Its annotations were removed.
    const above = node.parentPath === undefined ? this.#around.above : parent?.metadata.name
    if (above !== undefined || node.parentPath === undefined)
      this.#take(node, this.#byPlace.get(placeOf(above, node.spec.displayName)))
  }

  /** The only one of its name that left, for the only node of that name that came. */
  #mover({ path }: OrgNode): Workspace | undefined {
    return this.#came.of(lastOf(path)).size === 1 ? this.#left.only(lastOf(path)) : undefined
  }

  #stranger(parentName: string | undefined, displayName: string): Workspace | undefined {
    return this.#around
      .siblings(parentName, displayName)
      .find((live) => !this.#owned.has(live) && live.metadata.deletionTimestamp === undefined)
  }

  /** The name that follows from the node, unless what was moved elsewhere still has it. */
  #freshName(node: OrgNode): string {
    let name = node.name
    for (let again = 1; this.#around.present(name) !== undefined; again++)
      name = ownedName(this.#around.importUid, `${node.path}\nagain ${again}`, node.spec.displayName)
    return name
  }
}

class Groups<T> {
  readonly #sets = new Map<string, Set<T>>()

  of(key: string): Set<T> {
    const set = this.#sets.get(key) ?? new Set()
    this.#sets.set(key, set)
    return set
  }

  add(key: string, member: T): void {
    this.of(key).add(member)
  }

  only(key: string): T | undefined {
    const [first, ...more] = this.of(key)
    return more.length === 0 ? first : undefined
  }
}

/** Whether its path is one of those that are left out, or below one. */
export function isExcluded(live: Workspace, exclude: readonly string[] | undefined): boolean {
  const path = pathOf(live) ?? ''
  return exclude?.some((each) => path === each || path.startsWith(`${each}/`)) === true
}

const placeOf = (parentName: string | undefined, displayName: string | undefined) =>
  `${parentName ?? ''}/${displayName ?? ''}`
const age = ({ metadata }: Workspace) => `${metadata.creationTimestamp} ${metadata.uid}`
const lastOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)
