/** How the `defaults` of a template meet a node. What neither says stays undefined: the Workspace's defaults apply. */
import type { OrgDefaults, OrgMemory, OrgNode as TemplateNode } from '../api/org-template.ts'

/** A prompt as it was given: the text, or a file and the folder it is seen from. */
export type Prompt = { readonly text: string } | { readonly file: string; readonly from: 'node' | 'root' }

export interface Effective {
  readonly runtime: string | undefined
  readonly tier: number | undefined
  readonly model: string | undefined
  readonly plugins: readonly string[]
  readonly initialPrompt: Prompt | undefined
  readonly idlePrompt: Prompt | undefined
  readonly idleIntervalSeconds: number
  readonly categoryRouting: Readonly<Record<string, readonly string[]>>
  readonly memories: readonly OrgMemory[]
}

/** An empty text and a zero count as not given, as they always did. */
const given = <T extends string | number>(value: T | undefined): T | undefined =>
  value === '' || value === 0 ? undefined : value

const defaultIdleInterval = 600

export function effective(node: TemplateNode, defaults: OrgDefaults): Effective {
  const memories = node.initial_memories ?? []
  return {
    runtime: given(node.runtime) ?? given(defaults.runtime),
    tier: given(node.tier) ?? given(defaults.tier),
    model: given(node.model) ?? given(defaults.model),
    plugins: mergePlugins(defaults.plugins ?? [], node.plugins ?? []),
    initialPrompt:
      prompt(node.initial_prompt, node.initial_prompt_file, 'node') ??
      prompt(defaults.initial_prompt, defaults.initial_prompt_file, 'root'),
    idlePrompt:
      prompt(node.idle_prompt, node.idle_prompt_file, 'node') ??
      prompt(defaults.idle_prompt, defaults.idle_prompt_file, 'root'),
    idleIntervalSeconds:
      given(node.idle_interval_seconds) ?? given(defaults.idle_interval_seconds) ?? defaultIdleInterval,
    categoryRouting: mergeRouting(defaults.category_routing ?? {}, node.category_routing ?? {}),
    memories: memories.length > 0 ? memories : (defaults.initial_memories ?? []),
  }
}

function prompt(text: string | undefined, file: string | undefined, from: 'node' | 'root'): Prompt | undefined {
  if (given(text) !== undefined) return { text: text ?? '' }
  return file === undefined || file === '' ? undefined : { file, from }
}

/**
 * The union, defaults first. In a node's list `!name` and `-name` take away what came before; a later plain entry
 * brings it back. In `defaults` there is nothing to take away from: such an entry is a name like any other.
 */
export function mergePlugins(defaults: readonly string[], own: readonly string[]): string[] {
  const result = new Set(defaults.filter((name) => name !== ''))
  for (const entry of own) {
    const name = entry.replace(/^[!-]+/, '')
    if (name === '') continue
    if (name === entry) result.add(name)
    else result.delete(name)
  }
  return [...result]
}

/** By key: a node's list replaces the default one, and an empty list takes the key away. */
export function mergeRouting(
  defaults: Readonly<Record<string, readonly string[]>>,
  own: Readonly<Record<string, readonly string[]>>,
): Record<string, readonly string[]> {
  const merged = new Map(Object.entries(defaults).filter(([key, roles]) => key !== '' && roles.length > 0))
  for (const [key, roles] of Object.entries(own)) {
    if (roles.length === 0) merged.delete(key)
    else if (key !== '') merged.set(key, roles)
  }
  return Object.fromEntries(merged)
}
