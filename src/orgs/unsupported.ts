/** Parts of the language that no controller acts on yet: said once each, with how many nodes ask for it. */
import type { OrgNode as TemplateNode, OrgTemplate } from '../api/org-template.ts'
import type { Effective } from './merge.ts'
import type { OrgWarning } from './org-error.ts'

/** A node that becomes a Workspace, as it stands and with the defaults applied. */
export interface Used {
  readonly node: TemplateNode
  readonly merged: Effective
}

const some = (list: readonly unknown[] | undefined) => list !== undefined && list.length > 0
const parts: Readonly<Record<string, (used: Used) => boolean>> = {
  template: ({ node }) => node.template !== undefined && node.template !== '',
  plugins: ({ merged }) => some(merged.plugins),
  idle_prompt: ({ merged }) => merged.idlePrompt !== undefined,
  schedules: ({ node }) => some(node.schedules),
  channels: ({ node }) => some(node.channels),
  initial_memories: ({ merged }) => some(merged.memories),
  category_routing: ({ merged }) => some(Object.keys(merged.categoryRouting)),
  url: ({ node }) => node.url !== undefined && node.url !== '',
}

export function unsupportedIn(template: OrgTemplate, nodes: readonly Used[]): OrgWarning[] {
  const counted = Object.entries(parts).flatMap(([part, asks]) => {
    const count = nodes.filter(asks).length
    return count === 0 ? [] : [`${part} of ${count} ${count === 1 ? 'node' : 'nodes'}`]
  })
  if (some(template.global_memories)) counted.push('global_memories')
  return counted.map((what) => ({ code: 'NotSupportedYet', path: '', message: `${what}: not acted on yet` }))
}
