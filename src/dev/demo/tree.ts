/** What is shown of an org while it comes up: one line an agent, in the order of the tree. Pure. */
import type { OrgImport } from '../../api/org-import.ts'
import type { Workspace } from '../../api/workspace.ts'

export interface AgentLine {
  readonly name: string
  /** 0 for a root. */
  readonly depth: number
  readonly displayName: string
  readonly phase: string
  readonly ready: boolean
  /** Only the user can help. */
  readonly stalled: boolean
  readonly why: string
}

const conditionOf = (object: Workspace | OrgImport, type: string) =>
  object.status?.conditions?.find((condition) => condition.type === type)

/** Ready, and of the present spec: an old Ready of an edited object does not count. */
export const isReady = (object: Workspace | OrgImport): boolean =>
  conditionOf(object, 'Ready')?.status === 'True' && object.status?.observedGeneration === object.metadata.generation

export const stalledBecause = (object: Workspace | OrgImport): string | undefined => {
  const stalled = conditionOf(object, 'Stalled')
  return stalled?.status === 'True' ? stalled.message : undefined
}

/** Parents before their children, siblings by name; one whose parent is not there yet counts as a root. */
export function treeOf(workspaces: readonly Workspace[]): AgentLine[] {
  const present = new Set(workspaces.map(({ metadata }) => metadata.name))
  const below = Map.groupBy(workspaces, ({ spec }) => {
    const parent = spec.parentRef?.name
    return parent !== undefined && present.has(parent) ? parent : ''
  })
  const lines: AgentLine[] = []
  const seen = new Set<string>()
  const walk = (parent: string, depth: number) => {
    for (const workspace of (below.get(parent) ?? []).toSorted(byName)) {
      const { name } = workspace.metadata
      // A cycle has no root, and is not walked; its members are added below.
      if (seen.has(name)) continue
      seen.add(name)
      lines.push(lineOf(workspace, depth))
      walk(name, depth + 1)
    }
  }
  walk('', 0)
  return [...lines, ...workspaces.filter(({ metadata }) => !seen.has(metadata.name)).map((one) => lineOf(one, 0))]
}

const shownName = ({ spec, metadata }: Workspace) => spec.displayName ?? metadata.name
const byName = (a: Workspace, b: Workspace) => shownName(a).localeCompare(shownName(b), 'en')

function lineOf(workspace: Workspace, depth: number): AgentLine {
  const ready = isReady(workspace)
  const stalled = stalledBecause(workspace)
  const going = workspace.metadata.deletionTimestamp !== undefined
  const said = stalled ?? workspace.status?.summary ?? ''
  return {
    name: workspace.metadata.name,
    depth,
    displayName: shownName(workspace),
    phase: going ? 'leaving' : (workspace.status?.phase ?? 'waiting'),
    ready,
    stalled: stalled !== undefined,
    why: ready ? '' : said.replaceAll(/\s+/g, ' '),
  }
}
