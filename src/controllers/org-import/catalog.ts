/** Whether the catalog has every runtime and model that a template names. Pure: a tree that could not start is not begun. */
import type { RuntimeSpec } from '../../api/runtime.ts'
import type { OrgNode } from '../../orgs/tree.ts'
import { plural } from '../../text.ts'
import { insteadOf, modelOf } from '../models.ts'
import type { Obstacle } from './obstacle.ts'

export interface Catalog {
  /** By name. */
  readonly runtimes: ReadonlyMap<string, Pick<RuntimeSpec, 'defaultModel' | 'models'>>
  /** What a node has that names no runtime; undefined where there is none, or more than one. */
  readonly standard: string | undefined
}

type Node = Pick<OrgNode, 'path' | 'spec'>

const shown = 10

/**
 * Only a person can mend it: a Runtime that comes, or changes, makes a pass of every import. `nodes`: those that are to be made,
 * or get another runtime or model.
 */
export function unknownRuntime(nodes: readonly Node[], { runtimes }: Catalog): Obstacle | undefined {
  const users = usersOf(nodes, ({ spec: { runtime } }) =>
    runtime === undefined || runtimes.has(runtime) ? undefined : runtime,
  )
  const [first] = users
  if (first === undefined) return undefined
  const [name, paths] = first
  const others = [...users.keys()].slice(1, shown).map((each) => `"${each}"`)
  const more = others.length === 0 ? '' : `; nor are ${others.join(', ')}`
  const known = [...runtimes.keys()].toSorted().slice(0, shown).join(', ') || 'none'
  const message = `runtime "${name}" of ${listed(paths)} is not in the catalog, which has ${known}${more}`
  return { condition: 'Applied', reason: 'RuntimeUnknown', message, waits: false }
}

/** As that: an agent that runs outlives a model that went. An external agent that names no runtime brings its own. */
export function unknownModel(
  nodes: readonly Node[],
  { runtimes, standard }: Catalog,
  defaultBackend: string,
): Obstacle | undefined {
  const faults = new Map<string, string>()
  const users = usersOf(nodes, ({ spec }) => {
    const name = spec.runtime ?? ((spec.backend ?? defaultBackend) === 'external' ? undefined : standard)
    const runtime = name === undefined ? undefined : runtimes.get(name)
    if (name === undefined || runtime === undefined) return undefined
    const model = modelOf(spec.model, { name, ...runtime })
    const others = insteadOf(model, runtime)
    if (others === undefined) return undefined
    const what = `model "${model}"`
    faults.set(what, `is not one of runtime "${name}", which has ${others}`)
    return what
  })
  const [first] = users
  if (first === undefined) return undefined
  const [what, paths] = first
  const others = [...users.keys()].slice(1, shown)
  const more = others.length === 0 ? '' : `; nor can ${others.join(', ')} be had`
  const message = `${what} of ${listed(paths)} ${faults.get(what) ?? ''}${more}`
  return { condition: 'Applied', reason: 'ModelUnknown', message, waits: false }
}

/** What nodes lack, each with the paths of those that do. */
function usersOf(nodes: readonly Node[], lackOf: (node: Node) => string | undefined): Map<string, string[]> {
  const users = new Map<string, string[]>()
  for (const node of nodes) {
    const lack = lackOf(node)
    if (lack !== undefined) users.set(lack, [...(users.get(lack) ?? []), node.path])
  }
  return users
}

const listed = ([path = '', ...rest]: readonly string[]) =>
  rest.length === 0 ? `"${path}"` : `"${path}" and ${plural(rest.length, 'other node')}`
