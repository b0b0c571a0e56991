/**
 * Counts what a template declares without the reader of the operator: `!include` is a custom tag of the YAML library that
 * reads the other file, and the tree is plain objects. To be compared with what an import makes of it.
 */
import { posix } from 'node:path'
import { parse } from 'yaml'

export interface OrgCount {
  readonly nodes: number
  readonly roots: number
  readonly levels: number
  readonly schedules: number
  readonly channels: number
  /** Distinct sources. */
  readonly plugins: number
  /** Of all nodes, each with its defaults. */
  readonly installs: number
}

interface Raw {
  readonly name?: string
  readonly plugins?: readonly (string | { readonly source: string })[]
  readonly schedules?: readonly unknown[]
  readonly channels?: readonly unknown[]
  readonly children?: readonly (Raw | null)[]
}

export function countOrg(files: ReadonlyMap<string, string>): OrgCount {
  const read = (path: string): unknown =>
    parse(files.get(path) ?? '', {
      customTags: [
        {
          tag: '!include',
          resolve: (target: string) => read(posix.join(posix.dirname(path), target)),
        },
      ],
    })
  const org = read('org.yaml') as { readonly defaults?: Raw; readonly workspaces?: readonly (Raw | null)[] }
  const sourceOf = (plugin: string | { readonly source: string }) =>
    (typeof plugin === 'string' ? plugin : plugin.source).replace(/#.*/, '')
  const shared = (org.defaults?.plugins ?? []).map(sourceOf)
  const distinct = new Set<string>()
  let [nodes, levels, schedules, channels, installs] = [0, 0, 0, 0, 0]
  const visit = (list: readonly (Raw | null)[], level: number) => {
    for (const node of list) {
      if (node === null) continue
      nodes++
      levels = Math.max(levels, level)
      schedules += node.schedules?.length ?? 0
      channels += node.channels?.length ?? 0
      const own = new Set(shared)
      for (const plugin of (node.plugins ?? []).map(sourceOf))
        if (/^[!-]/.test(plugin)) own.delete(plugin.slice(1))
        else own.add(plugin)
      for (const plugin of own) distinct.add(plugin)
      installs += own.size
      visit(node.children ?? [], level + 1)
    }
  }
  const roots = org.workspaces ?? []
  visit(roots, 1)
  return { nodes, roots: roots.length, levels, schedules, channels, plugins: distinct.size, installs }
}
