/** The plugin lists of `defaults` and of a node, made one. */
import type { OrgPlugin } from '../api/org-template.ts'
import type { Refuse } from './check.ts'
import type { Faults } from './faults.ts'
import type { Path } from './org-error.ts'

/** What a PluginInstall takes as its source: a name of the catalog, or an address. */
const source = /^([a-z0-9][a-z0-9._-]*|[a-z][a-z0-9+.-]*:\/\/[^#@\s]+)$/
/** A branch, tag or commit, behind "#". */
const ref = /^[A-Za-z0-9_.][A-Za-z0-9_./+:-]{0,254}$/

interface List {
  readonly entries: readonly OrgPlugin[]
  readonly at: Path
}

interface Around {
  readonly refuse: Refuse
  readonly attempt: Faults['attempt']
  /** Hears of a taking away that takes nothing away, as always in `defaults`. */
  readonly idle: (entry: string, at: Path) => void
  /** Hears of settings, which no plugin gets. */
  readonly unused: (plugin: string, config: unknown, at: Path) => void
}

/**
 * The union, defaults first: `source`, or `source#ref`. In a node's list `!name` and `-name` take away what came before; a
 * later plain entry brings it back. Of one source the last ref counts.
 */
export function mergePlugins(defaults: List, own: List, around: Around): readonly string[] {
  /** By source. */
  const result = new Map<string, string>()
  const add = (given: OrgPlugin, takes: boolean, at: Path) => {
    const text = (typeof given === 'string' ? given : given.source).trim()
    const entry = text.replace(/^[!-]+/, '')
    if (entry === '') return
    const name = checked(entry, text, at, around.refuse)
    if (entry !== text) {
      if (!(takes && result.delete(name))) around.idle(text, at)
      return
    }
    result.set(name, entry)
    if (typeof given === 'object' && given.config !== undefined) around.unused(entry, given.config, [...at, 'config'])
  }
  for (const [{ entries, at }, takes] of [
    [defaults, false],
    [own, true],
  ] as const)
    for (const [i, entry] of entries.entries()) around.attempt(() => add(entry, takes, [...at, i]), undefined)
  return [...result.values()]
}

/** The source of an entry that a PluginInstall can have. */
function checked(entry: string, text: string, at: Path, refuse: Refuse): string {
  const [name, version] = splitRef(entry)
  if (!source.test(name) || name.split('/').includes('..'))
    return refuse('InvalidField', at, `"${text}" is neither the name of a plugin nor its address: scheme://path`)
  if (version !== undefined && (!ref.test(version) || version.split('/').includes('..')))
    return refuse('InvalidField', at, `"${text}" names no branch, tag or commit behind "#"`)
  return name
}

/** `source#ref` in its two parts. */
export function splitRef(plugin: string): readonly [source: string, ref: string | undefined] {
  const mark = plugin.indexOf('#')
  return mark < 0 ? [plugin, undefined] : [plugin.slice(0, mark), plugin.slice(mark + 1)]
}
