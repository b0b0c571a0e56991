/** Whether the catalog has every runtime that a template names. Pure: a tree that could not start is not begun. */
import type { OrgNode } from '../../orgs/tree.ts'
import type { Obstacle } from './obstacle.ts'
import { plural } from './words.ts'

const shown = 10

/** It passes by itself: a Runtime may come after those who need it. */
export function unknownRuntime(
  nodes: readonly Pick<OrgNode, 'path' | 'spec'>[],
  catalog: ReadonlySet<string>,
): Obstacle | undefined {
  const users = new Map<string, string[]>()
  for (const { path, spec } of nodes)
    if (spec.runtime !== undefined && !catalog.has(spec.runtime))
      users.set(spec.runtime, [...(users.get(spec.runtime) ?? []), path])
  const [first] = users
  if (first === undefined) return undefined
  const [name, [path, ...rest]] = first
  const who = rest.length === 0 ? `"${path}"` : `"${path}" and ${plural(rest.length, 'other node')}`
  const others = [...users.keys()].slice(1, shown).map((each) => `"${each}"`)
  const more = others.length === 0 ? '' : `; nor are ${others.join(', ')}`
  const known = [...catalog].toSorted().slice(0, shown).join(', ') || 'none'
  const message = `runtime "${name}" of ${who} is not in the catalog, which has ${known}${more}`
  return { condition: 'Applied', reason: 'RuntimeUnknown', message, waits: true }
}
