import { Terminal } from '../../errors.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { Recorded, WorkspaceStore } from '../workspace-store.ts'
import { recordAdopting } from './adopt.ts'
import { adopted, leak, observed, remove } from './instances.ts'
import { surfaced } from './faults.ts'
import { recordConfirmed } from './follow.ts'
import type { Listener } from './notify.ts'
import type { Database } from './pool.ts'
import { record } from './record.ts'
import { sentColumns, toWorkspaceRow, type SentRow } from './row.ts'
import type { Seal } from './seal.ts'
import { fenced, type Statement, type Answer } from './statement.ts'
import { change, hibernate, inboundPlace, launch } from './transitions.ts'

const find = `
  SELECT 1 AS ord, ${sentColumns('w')} FROM workspaces w
  WHERE w.owner_uid = $1 AND w.namespace = $2 AND w.status <> 'removed' ORDER BY w.id LIMIT 1`

/** Few rows are assigned to a namespace, and an index has no others. */
const isAssigned = `
  SELECT EXISTS (SELECT FROM workspaces w
    WHERE w.assigned_namespace = $1 AND w.owner_uid IS NULL AND w.backend = $2
      AND (w.instance_id IN ($3, left($3, 12)) OR 'ws-' || left(w.id::text, 12) = $4)) AS assigned`

/** The controller's side of the rows. `lease` names the leadership whose epoch must be the writer's. */
export function openWorkspaces(
  database: Database,
  listener: Listener,
  metrics: Metrics,
  lease: string,
  seal: Seal | undefined,
): WorkspaceStore & { close(): Promise<void> } {
  const open = <Item, Row extends Answer, Result>(statement: Statement<Item, Row, Result>) =>
    fenced(database, metrics, lease, statement)
  const records = open(record)
  const claims = open(recordAdopting)
  const confirmations = open(recordConfirmed)
  const launches = open(launch)
  const observations = open(observed)
  const changes = open(change)
  const sleeps = open(hibernate)
  const adoptions = open(adopted)
  const removals = open(remove)
  const leaks = open(leak)
  const batchers = [records, claims, confirmations, launches, observations, changes, sleeps, adoptions, removals, leaks]
  async function one<Row extends object>(
    name: string,
    text: string,
    values: readonly unknown[],
  ): Promise<Row | undefined> {
    try {
      const [row] = await database.query<Row & Record<string, unknown>>(name, text, values)
      return row
    } catch (error) {
      throw surfaced(error)
    }
  }
  return {
    async find({ ownerUid, namespace }) {
      const row = await one<SentRow & { id: string }>('find', find, [ownerUid, namespace])
      return row && toWorkspaceRow(row)
    },
    async isAssigned(namespace, backend, { id, name }) {
      const row = await one<{ assigned: boolean }>('is_assigned', isAssigned, [namespace, backend, id, name])
      return row?.assigned === true
    },
    async record(item, fence, haste): Promise<Recorded> {
      const batcher = item.claim === 'create' ? records : claims
      const { ownerUid, recorded } = await batcher.add({ item, fence }, haste)
      return ownerUid === item.ownerUid ? recorded : { kind: 'stale' }
    },
    follow: async (item, fence) => (await confirmations.add({ item, fence }, 'now')).recorded,
    async launch({ inboundSecret, ...item }, fence) {
      if (inboundSecret !== undefined && seal === undefined)
        throw new Terminal(
          'SecretsKeyMissing',
          'the secret of an instance is kept sealed only, and this operator has no SECRETS_KEY',
        )
      const sealedSecret = inboundSecret === undefined ? undefined : seal?.seal(inboundSecret, inboundPlace(item.id))
      return launches.add({ item: { ...item, sealedSecret }, fence })
    },
    observed: (item, fence) => observations.add({ item, fence }),
    change: (item, fence) => changes.add({ item, fence }, 'now'),
    hibernate: (key, idleSince, fence) => sleeps.add({ item: { ...key, idleSince }, fence }),
    adopted: (item, fence) => adoptions.add({ item, fence }),
    async leak(item, fence) {
      await leaks.add({ item, fence })
      metrics.stopRetryExhausted.inc({ backend: item.backend })
    },
    remove: ({ ownerUid, namespace }, fence, deletionPolicy) =>
      removals.add({ item: { ownerUid, namespace, deletionPolicy }, fence }, 'now'),
    changes: (signal, onMove) => listener.changes(signal, onMove),
    async close() {
      await Promise.all(batchers.map((batcher) => batcher.close()))
    },
  }
}
