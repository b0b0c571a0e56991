/** Which plugins are declared for a workspace: those of the PluginInstalls that have it among their targets. Pure. */
import type { PluginInstall } from '../../api/plugin-install.ts'
import type { Workspace } from '../../api/workspace.ts'
import type { DeclaredPlugin } from '../../store/part-store.ts'

type Selector = NonNullable<PluginInstall['spec']['targets']['selector']>

const anyone = '*'

/** Index of PluginInstalls by whom they may be for: named workspaces, and every one of a namespace with a selector. */
export const targetIndex = ({ metadata: { namespace = '' }, spec: { targets } }: PluginInstall): string[] => [
  ...(targets.names ?? []).map((name) => `${namespace}/${name}`),
  ...(targets.selector === undefined ? [] : [`${namespace}/${anyone}`]),
]

/** `byTarget`: a look into that index. Ordered, and each name once. */
export function declaredPlugins(
  { metadata: { name, namespace = '', labels = {} } }: Workspace,
  byTarget: (key: string) => readonly PluginInstall[],
): readonly DeclaredPlugin[] {
  const selecting = byTarget(`${namespace}/${anyone}`).filter(({ spec: { targets } }) =>
    targets.selector === undefined ? false : selects(targets.selector, labels),
  )
  const declared = new Map<string, string>()
  // In the order of their names, so that of two for one plugin always the same wins.
  const installs = [...byTarget(`${namespace}/${name}`), ...selecting].sort((a, b) =>
    a.metadata.name < b.metadata.name ? -1 : 1,
  )
  for (const { metadata, spec } of installs) {
    if (metadata.deletionTimestamp !== undefined) continue
    declared.set(
      spec.pluginName ?? nameIn(spec.source),
      spec.ref === undefined ? spec.source : `${spec.source}#${spec.ref}`,
    )
  }
  return [...declared].sort(([a], [b]) => (a < b ? -1 : 1)).map(([plugin, source]) => ({ name: plugin, source }))
}

/** As long as `spec.pluginName` may be: no row takes a name of any length. */
const longestName = 128

/** The last part of an address. */
function nameIn(source: string): string {
  const last = source.split('/').findLast((part) => part !== '') ?? source
  return Array.from(last).slice(0, longestName).join('')
}

function selects({ matchLabels = {}, matchExpressions = [] }: Selector, given: Readonly<Record<string, string>>) {
  const labels = new Map(Object.entries(given))
  return (
    Object.entries(matchLabels).every(([key, value]) => labels.get(key) === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels.get(key)
      switch (operator) {
        case 'In':
          return value !== undefined && values.includes(value)
        case 'NotIn':
          return value === undefined || !values.includes(value)
        case 'Exists':
          return value !== undefined
        case 'DoesNotExist':
          return value === undefined
      }
    })
  )
}
