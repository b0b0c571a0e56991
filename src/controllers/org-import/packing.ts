/**
 * Where the files of a tree are kept: ConfigMaps of the import's own, whatever its source, so that moving a template
 * from one kind of source to another changes nothing. A node's files share one map, chosen by its name, under keys
 * `<workspace>.<encoded path>` that do not change with the text: an edited prompt is one write to one map, and only the
 * workspaces whose text it is see another content.
 */
import { createHash } from 'node:crypto'
import { ownedName } from '../../orgs/names.ts'
import { encodePath } from '../../orgs/source-path.ts'
import type { OrgNode } from '../../orgs/tree.ts'

export interface FileRef {
  readonly path: string
  readonly configMapKeyRef: { readonly name: string; readonly key: string }
}

export interface Packed {
  /** ConfigMap name to its data. */
  readonly maps: ReadonlyMap<string, Readonly<Record<string, string>>>
  /** By metadata.name of the workspace. */
  readonly refs: ReadonlyMap<string, readonly FileRef[]>
}

/** Below the 1 MiB of a ConfigMap, with room for its metadata. */
export const mostBytes = 900 * 1024
/** Powers of two, so that growing moves only those nodes that have to move. */
const binCounts = [1, 2, 4, 8, 16, 32, 64, 128, 256]

/** All names that the ConfigMaps of an import can have. */
export const mapNames = (importUid: string, importName: string): string[] =>
  Array.from({ length: binCounts.at(-1) ?? 1 }, (_, bin) => mapName(importUid, importName, bin))

/** The ConfigMap that shows a long plan. */
export const planMapName = (importUid: string, importName: string): string =>
  ownedName(importUid, '\nplan', `${importName.slice(0, 40)}-plan`)

const mapName = (importUid: string, importName: string, bin: number) =>
  ownedName(importUid, `\nfiles/${bin}`, `${importName.slice(0, 40)}-files`)

/** Undefined when the files do not fit into as many maps as one import may have. */
export function pack(
  importUid: string,
  importName: string,
  nodes: readonly Pick<OrgNode, 'name' | 'files'>[],
): Packed | undefined {
  const own = nodes
    .filter(({ files }) => files.size > 0)
    .map(({ name, files }) => {
      const entries = [...files].map(([path, text]) => ({ path, key: keyFor(name, path), text }))
      const bytes = entries.reduce((sum, { key, text }) => sum + key.length + Buffer.byteLength(text), 0)
      return { name, entries, bytes, hash: createHash('sha256').update(name).digest().readUInt32BE(0) }
    })
  const bins = binCounts.find((count) => fits(own, count))
  if (bins === undefined) return undefined
  const maps = new Map<string, Record<string, string>>()
  const refs = new Map<string, FileRef[]>()
  for (const { name, entries, hash } of own) {
    const map = mapName(importUid, importName, hash % bins)
    const data = maps.get(map) ?? {}
    for (const { key, text } of entries) data[key] = text
    maps.set(map, data)
    refs.set(
      name,
      entries.map(({ path, key }) => ({ path, configMapKeyRef: { name: map, key } })),
    )
  }
  return { maps, refs }
}

function fits(own: readonly { bytes: number; hash: number }[], count: number): boolean {
  const sums = new Map<number, number>()
  for (const { bytes, hash } of own) sums.set(hash % count, (sums.get(hash % count) ?? 0) + bytes)
  return [...sums.values()].every((sum) => sum <= mostBytes)
}

const longestKey = 253

/** A path too long to be written out in a key is known by its digest. */
function keyFor(name: string, path: string): string {
  const room = longestKey - name.length - 1
  // Encoding only ever lengthens; encodePath itself refuses beyond 253.
  const written = path.length <= room ? tryEncode(path) : undefined
  if (written !== undefined && written.length <= room) return `${name}.${written}`
  return `${name}.${createHash('sha256').update(path).digest('hex')}`
}

function tryEncode(path: string): string | undefined {
  try {
    return encodePath(path)
  } catch {
    return undefined
  }
}
