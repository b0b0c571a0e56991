/** A plan as people read it. Pure. */
import type { OrgImportStatus } from '../../api/org-import.ts'
import { cut, oneLine } from '../../text.ts'
import { counted, countsOf } from './gate.ts'
import { pathOf } from './match.ts'
import { mostBytes } from './packing.ts'
import type { Action, Departure, Plan } from './plan.ts'

type Planned = NonNullable<OrgImportStatus['plan']>
type Row = NonNullable<Planned['actions']>[number]

/** As many rows as the status shows. */
export const shownRows = 20
/** Characters of `steps` that a status takes. */
const mostSteps = 200_000

/** Of `status.plan`. `steps` where the plan waits, so that what is left of it can be told from another. */
export function plannedStatus(plan: Plan, waits: boolean, configMap?: string): Planned {
  const rows = waits ? rowsOf(plan).slice(0, shownRows) : []
  const steps = waits ? plan.steps.join('') : ''
  return {
    ...countsOf(plan),
    digest: plan.digest,
    ...(plan.spent !== undefined && { spent: plan.spent }),
    ...(rows.length > 0 && { actions: rows }),
    ...(configMap !== undefined && { configMap }),
    // Of a plan beyond all measure the rest is asked about again after a crash.
    ...(steps !== '' && steps.length <= mostSteps && { steps }),
  }
}

/** Everything that would be different afterwards; last, those whose place on the canvas alone changes: one new node may move all others. */
export function rowsOf({ actions, departures, installs }: Plan): Row[] {
  const rows = actions.flatMap(actionRow)
  return [
    ...rows.filter(({ changes }) => changes !== 'canvas'),
    ...departures.map(departureRow),
    ...installs.actions.map(({ kind, name, source }) => ({ action: kind, path: cut(source, 2048), name })),
    ...rows.filter(({ changes }) => changes === 'canvas'),
  ]
}

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

/** The whole of it, a line each, or as much of it as a ConfigMap takes. */
export function planText(plan: Plan): string {
  const lines = rowsOf(plan).map(({ action, path, name = '', changes = '' }) =>
    oneLine([action.padEnd(9), path, `(${name})`, changes].join(' ')).trimEnd(),
  )
  let room = mostBytes
  const fitting = lines.findIndex((line) => (room -= Buffer.byteLength(line) + 1) < 0)
  const shown = fitting < 0 ? lines : [...lines.slice(0, fitting), `… and ${lines.length - fitting} more`]
  return `${counted(plan)}\ndigest: ${plan.digest}\n\n${shown.join('\n')}\n`
}
