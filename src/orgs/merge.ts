/** How the `defaults` of a template meet a node. What neither says stays undefined: the Workspace's defaults apply. */
import type { OrgDefaults, OrgMemory, OrgNode as TemplateNode } from '../api/org-template.ts'
import { mergeRouting } from './routing.ts'

/** A prompt as it was given, and by whom: a file is seen from the node's folder, or from the top. */
export type Prompt = { readonly from: 'node' | 'defaults' } & ({ readonly text: string } | { readonly file: string })

export interface Effective {
  readonly runtime: string | undefined
  readonly tier: number | undefined
  readonly model: string | undefined
  readonly initialPrompt: Prompt | undefined
  readonly idlePrompt: Prompt | undefined
  readonly idleIntervalSeconds: number
  readonly categoryRouting: Readonly<Record<string, readonly string[]>>
  readonly memories: { readonly from: 'node' | 'defaults'; readonly list: readonly OrgMemory[] }
}

/** An empty text and a zero count as not given, as they always did. */
const given = <T extends string | number>(value: T | undefined): T | undefined =>
  value === '' || value === 0 ? undefined : value

const some = <T>(list: readonly T[] | undefined) => (list !== undefined && list.length > 0 ? list : undefined)

const defaultIdleInterval = 600

export function effective(node: TemplateNode, defaults: OrgDefaults): Effective {
  const memories = some(node.initial_memories)
  return {
    runtime: given(node.runtime) ?? given(defaults.runtime),
    tier: given(node.tier) ?? given(defaults.tier),
    model: given(node.model) ?? given(defaults.model),
    initialPrompt:
      prompt(node.initial_prompt, node.initial_prompt_file, 'node') ??
      prompt(defaults.initial_prompt, defaults.initial_prompt_file, 'defaults'),
    idlePrompt:
      prompt(node.idle_prompt, node.idle_prompt_file, 'node') ??
      prompt(defaults.idle_prompt, defaults.idle_prompt_file, 'defaults'),
    idleIntervalSeconds:
      given(node.idle_interval_seconds) ?? given(defaults.idle_interval_seconds) ?? defaultIdleInterval,
    categoryRouting: mergeRouting(defaults.category_routing ?? {}, node.category_routing ?? {}),
    memories:
      memories === undefined
        ? { from: 'defaults', list: defaults.initial_memories ?? [] }
        : { from: 'node', list: memories },
  }
}

function prompt(text: string | undefined, file: string | undefined, from: 'node' | 'defaults'): Prompt | undefined {
  const own = given(text)
  if (own !== undefined) return { text: own, from }
  return file === undefined || file === '' ? undefined : { file, from }
}
