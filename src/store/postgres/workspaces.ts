import type { Metrics } from '../../telemetry/metrics.ts'
import type { WorkspaceStore } from '../workspace-store.ts'
import type { Listener } from './notify.ts'
import type { Database } from './pool.ts'
import { record } from './record.ts'
import { fenced, type Statement, type Answer } from './statement.ts'
import { change, launch, observed, remove } from './transitions.ts'

/** The controller's side of the rows. `lease` names the leadership whose epoch must be the writer's. */
export function openWorkspaces(
  database: Database,
  listener: Listener,
  metrics: Metrics,
  lease: string,
): WorkspaceStore & { close(): Promise<void> } {
  const open = <Item, Row extends Answer, Result>(statement: Statement<Item, Row, Result>) =>
    fenced(database, metrics, lease, statement)
  const records = open(record)
  const launches = open(launch)
  const observations = open(observed)
  const changes = open(change)
  const removals = open(remove)
  return {
    record: (item, fence, urgent) => records.add({ item, fence }, urgent),
    launch: (item, fence) => launches.add({ item, fence }),
    observed: (item, fence) => observations.add({ item, fence }),
    change: (item, fence) => changes.add({ item, fence }, true),
    remove: (id, ownerUid, fence) => removals.add({ item: { id, ownerUid }, fence }, true),
    changes: (signal) => listener.changes(signal),
    async close() {
      await Promise.all([records, launches, observations, changes, removals].map((batcher) => batcher.close()))
    },
  }
}
