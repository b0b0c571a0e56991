/** The plugin lists of `defaults` and of a node, made one. */
import type { Refuse } from './check.ts'
import type { Path } from './org-error.ts'

/** What a PluginInstall takes as its source: a name of the catalog, or an address. */
const source = /^([a-z0-9][a-z0-9._-]*|[a-z][a-z0-9+.-]*:\/\/[^#@\s]+)$/

interface List {
  readonly entries: readonly string[]
  readonly at: Path
}

/**
 * The union, defaults first. In a node's list `!name` and `-name` take away what came before; a later plain entry brings
 * it back. `idle` hears of a taking away that takes nothing away, as always in `defaults`.
 */
export function mergePlugins(
  defaults: List,
  own: List,
  refuse: Refuse,
  idle: (entry: string, at: Path) => void,
): readonly string[] {
  const result = new Set<string>()
  for (const [list, takes] of [
    [defaults, false],
    [own, true],
  ] as const)
    for (const [i, entry] of list.entries.entries()) {
      const at = [...list.at, i]
      const name = entry.trim().replace(/^[!-]+/, '')
      if (name === '') continue
      if (!source.test(name) || name.split('/').includes('..'))
        return refuse('InvalidField', at, `"${entry}" is neither the name of a plugin nor its address: scheme://path`)
      if (name === entry.trim()) result.add(name)
      else if (!(takes && result.delete(name))) idle(entry, at)
    }
  return [...result]
}
