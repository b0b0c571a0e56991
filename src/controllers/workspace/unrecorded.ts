/** What to say when the database refused the intent: nothing was written. Pure. */
import type { Workspace, WorkspaceStatus } from '../../api/workspace.ts'
import { seconds, type Duration } from '../../duration.ts'
import type { Verdict } from '../../kube/reconciler.ts'
import type { Recorded } from '../../store/workspace-store.ts'
import { describeObstacle } from './describe.ts'
import { again } from './outcome.ts'
import type { Obstacle } from './obstacle.ts'
import type { Desired } from './resolve.ts'

export function unrecorded(
  workspace: Workspace,
  desired: Desired,
  recorded: Exclude<Recorded, { kind: 'recorded' }>,
): Verdict<WorkspaceStatus> {
  const waits = (obstacle: Omit<Obstacle, 'waits'>, waitingFor: string) =>
    describeObstacle(workspace, { ...obstacle, waits: true }, again(seconds(5), waitingFor))
  const blocks = ({ condition, reason, message }: Omit<Obstacle, 'waits'>, retryAfter?: Duration) =>
    describeObstacle(
      workspace,
      { condition, reason, message, waits: false },
      { kind: 'blocked', reason, message, ...(retryAfter !== undefined && { retryAfter }) },
    )
  const adopted = workspace.spec.adopt?.workspaceID ?? ''
  switch (recorded.kind) {
    case 'parentMissing': {
      const name = workspace.spec.parentRef?.name ?? ''
      if (desired.parentFound === true)
        return waits(
          { condition: 'ParentFound', reason: 'Waiting', message: `waits for the row of its parent "${name}"` },
          'the row of the parent',
        )
      // Its coming makes a pass of all that name it.
      const message = `its parent, Workspace "${name}", does not exist in namespace ${workspace.metadata.namespace ?? ''}: create it, or name another in spec.parentRef`
      return blocks({ condition: 'ParentFound', reason: 'ParentMissing', message })
    }
    case 'siblingTaken': {
      const name = workspace.spec.displayName ?? workspace.metadata.name
      const message = `the name "${name}" is taken among its siblings by Workspace "${recorded.by}": give one of them another displayName`
      return blocks({ condition: 'Recorded', reason: 'SiblingNameTaken', message })
    }
    case 'stale': {
      const message = 'the row carries a newer generation or belongs to another resource: this pass is out of date'
      return waits({ condition: 'Recorded', reason: 'OutOfDate', message }, 'a newer version of this object')
    }
    case 'foreign': {
      const message =
        'its row belongs to another Workspace, which adopted it while this one was deleted: delete this one and create it anew'
      return blocks({ condition: 'Recorded', reason: 'RowTaken', message })
    }
    case 'nothingToAdopt': {
      const message = `spec.adopt.workspaceID ${adopted}: there is no row that this namespace may adopt`
      // Rows are assigned in the database, which tells of no row that has no owner.
      return blocks({ condition: 'Recorded', reason: 'NothingToAdopt', message }, seconds(5))
    }
    case 'owned': {
      const message = `spec.adopt.workspaceID: row ${adopted} belongs to Workspace "${recorded.by}": delete that one with deletionPolicy Retain first`
      return blocks({ condition: 'Recorded', reason: 'AdoptionRefused', message })
    }
    case 'contradicts': {
      const { field, row, spec } = recorded
      const message = `spec.adopt.workspaceID: the row says ${field} "${row}", the spec "${spec}": make the spec say the same`
      return blocks({ condition: 'Recorded', reason: 'AdoptionRefused', message })
    }
  }
}
