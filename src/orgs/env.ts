/** What a template asks of the environment, and whether it gets it. Nothing is read from the operator's own. */
import type { EnvRequirement } from '../api/org-template.ts'

/** Any one of `names` will do; a plain variable is a group of one. */
export interface EnvGroup {
  /** Sorted, distinct. */
  readonly names: readonly string[]
  /** Node paths; empty when the template as a whole asks, whoever else does: then everybody needs it. */
  readonly askedBy: readonly string[]
}

export interface EnvNeeds {
  readonly required: readonly EnvGroup[]
  readonly recommended: readonly EnvGroup[]
}

/** One list as it stands in the template; `node` is undefined for the template's own. */
export interface EnvAsk {
  readonly node: string | undefined
  readonly required: readonly EnvRequirement[]
  readonly recommended: readonly EnvRequirement[]
}

export const envNamePattern = /^[A-Z][A-Z0-9_]{0,127}$/

export const namesOf = (requirement: EnvRequirement): readonly string[] =>
  typeof requirement === 'string' ? [requirement] : requirement.any_of

/**
 * The union of all asks. A plain required variable makes every group with it superfluous, and every recommendation that
 * names it. Ordered: plain variables by name, then groups.
 */
export function collectEnv(asks: readonly EnvAsk[]): EnvNeeds {
  const required = prune(union(asks.map(({ node, required }) => ({ node, list: required }))))
  const strict = plainNames(required)
  const recommended = prune(union(asks.map(({ node, recommended }) => ({ node, list: recommended })))).filter(
    ({ names }) => !names.some((name) => strict.has(name)),
  )
  return { required: required.toSorted(byOrder), recommended: recommended.toSorted(byOrder) }
}

function union(asks: readonly { node: string | undefined; list: readonly EnvRequirement[] }[]): EnvGroup[] {
  const groups = new Map<string, { names: string[]; askedBy: string[] }>()
  const byAll = new Set<string>()
  for (const { node, list } of asks) {
    for (const requirement of list) {
      const names = [...new Set(namesOf(requirement))].toSorted()
      const key = names.join(' ')
      const group = groups.get(key) ?? { names, askedBy: [] }
      if (node === undefined) byAll.add(key)
      else if (group.askedBy.at(-1) !== node) group.askedBy.push(node)
      groups.set(key, group)
    }
  }
  for (const key of byAll) groups.get(key)?.askedBy.splice(0)
  return [...groups.values()]
}

const plainNames = (groups: readonly EnvGroup[]) =>
  new Set(groups.flatMap(({ names }) => (names.length === 1 ? names : [])))

function prune(groups: readonly EnvGroup[]): EnvGroup[] {
  const strict = plainNames(groups)
  return groups.filter(({ names }) => names.length === 1 || !names.some((name) => strict.has(name)))
}

function byOrder(a: EnvGroup, b: EnvGroup): number {
  const singles = Number(a.names.length > 1) - Number(b.names.length > 1)
  if (singles !== 0) return singles
  return a.names.join(' ') < b.names.join(' ') ? -1 : 1
}

export interface Preflight {
  /** For people, one each: `A or B (asked for by Director/Writer)`. */
  readonly missing: readonly string[]
  readonly missingRecommended: readonly string[]
  /** The variables asked for that are there, sorted: what every workspace gets. */
  readonly found: readonly string[]
}

/** `available`: names of variables that have a value. */
export function preflight(needs: EnvNeeds, available: ReadonlySet<string>): Preflight {
  const lacking = (groups: readonly EnvGroup[]) =>
    groups.filter(({ names }) => !names.some((name) => available.has(name))).map(showGroup)
  const asked = [...needs.required, ...needs.recommended].flatMap(({ names }) => names)
  return {
    missing: lacking(needs.required),
    missingRecommended: lacking(needs.recommended),
    found: [...new Set(asked)].filter((name) => available.has(name)).toSorted(),
  }
}

const shown = 3

function showGroup({ names, askedBy }: EnvGroup): string {
  const rest = askedBy.length > shown ? ` and ${askedBy.length - shown} more` : ''
  const who = askedBy.length === 0 ? 'the template' : askedBy.slice(0, shown).join(', ') + rest
  return `${names.join(' or ')} (asked for by ${who})`
}
