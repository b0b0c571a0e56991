/** Category routing: which roles get a task of which category. */
import type { OrgTemplate, OrgNode as TemplateNode } from '../api/org-template.ts'
import type { Path } from './org-error.ts'
import type { Warnings } from './warnings.ts'

type Routing = Readonly<Record<string, readonly string[]>>

/** By key: a node's list replaces the default one, and an empty list takes the key away. */
export function mergeRouting(defaults: Routing, own: Routing): Routing {
  const merged = new Map(Object.entries(defaults).filter(([key, roles]) => key !== '' && roles.length > 0))
  for (const [key, roles] of Object.entries(own)) {
    if (roles.length === 0) merged.delete(key)
    else if (key !== '') merged.set(key, roles)
  }
  return Object.fromEntries([...merged].map(([key, roles]) => [key, [...new Set(roles)]]))
}

/** Names of nobody in the tree, told where they stand and not once for each node that inherits them. */
export function warnOfDanglingRoutes(
  template: OrgTemplate,
  nodes: readonly { readonly node: TemplateNode; readonly place: Path; readonly path: string }[],
  warnings: Warnings,
): void {
  const there = new Set(nodes.map(({ node }) => node.name))
  const look = (routing: Routing | undefined, at: Path, path: string) => {
    for (const [key, roles] of Object.entries(routing ?? {})) {
      const absent = roles.filter((role) => !there.has(role))
      if (absent.length === 0 || key === '') continue
      const who = absent.map((role) => `"${role}"`).join(', ')
      const rest = absent.length === roles.length ? ', so that nobody gets it' : ''
      warnings.add('DanglingRoute', path, `category "${key}" goes to ${who}, not in this tree${rest}`, [
        ...at,
        'category_routing',
        key,
      ])
    }
  }
  look(template.defaults?.category_routing, ['defaults'], '')
  for (const { node, place, path } of nodes) look(node.category_routing, place, path)
}
