/** A plan as people read it. Pure. */
import type { OrgImportStatus } from '../../api/org-import.ts'
import { counted, countsOf } from './gate.ts'
import { pathOf } from './match.ts'
import type { Action, Departure, Plan } from './plan.ts'
import { cut } from './words.ts'

type Planned = NonNullable<OrgImportStatus['plan']>
type Row = NonNullable<Planned['actions']>[number]

/** As many rows as the status shows. */
export const shownRows = 20

/** Of `status.plan`. `steps` where the plan waits, so that what is left of it can be told from another. */
export function plannedStatus(plan: Plan, waits: boolean, configMap?: string): Planned {
  const rows = waits ? rowsOf(plan).slice(0, shownRows) : []
  return {
    ...countsOf(plan),
    digest: plan.digest,
    ...(rows.length > 0 && { actions: rows }),
    ...(configMap !== undefined && { configMap }),
    ...(waits && plan.steps.length > 0 && { steps: plan.steps.join('') }),
  }
}

/** Everything that would be different afterwards. */
export const rowsOf = ({ actions, departures, installs }: Plan): Row[] => [
  ...actions.flatMap(actionRow),
  ...departures.map(departureRow),
  ...installs.actions.map(({ kind, name, source }) => ({ action: kind, path: cut(source, 2048), name })),
]

function actionRow(action: Action): Row[] {
  const { path, name } = action.child
  switch (action.kind) {
    case 'keep':
    case 'ignore':
      return []
    case 'create':
    case 'leaving':
      return [{ action: action.kind, path: cut(path, 2048), name }]
    case 'clash':
      return [{ action: action.kind, path: cut(path, 2048), name, changes: cut(`is of ${action.whose}`, 1024) }]
    case 'update':
    case 'rename':
    case 'move':
    case 'adopt': {
      const changes = cut(action.changes.join(', '), 1024)
      return [{ action: action.kind, path: cut(path, 2048), name, ...(changes !== '' && { changes }) }]
    }
  }
}

const departureRow = ({ kind, live }: Departure): Row => ({
  action: kind,
  path: cut(pathOf(live) ?? '', 2048),
  name: live.metadata.name,
})

/** The whole of it, a line each. */
export function planText(plan: Plan): string {
  const lines = rowsOf(plan).map(({ action, path, name = '', changes = '' }) =>
    [action.padEnd(9), path, `(${name})`, changes].join(' ').trimEnd(),
  )
  return `${counted(plan)}\ndigest: ${plan.digest}\n\n${lines.join('\n')}\n`
}
