/** What the tests of the rows start from. */
import { randomBytes, randomUUID } from 'node:crypto'
import { Client } from 'pg'
import { pino } from 'pino'
import { afterAll } from 'vitest'
import { Fenced } from '../../src/errors.ts'
import type { Fence } from '../../src/fence.ts'
import type { Heartbeat } from '../../src/store/agent-store.ts'
import { openStore, type Store, type StoreOptions } from '../../src/store/postgres/open.ts'
import {
  workspaceId,
  type Recorded,
  type RowKey,
  type WorkspaceIntent,
  type WorkspaceRow,
} from '../../src/store/workspace-store.ts'
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts'
import { until } from '../support/until.ts'

export const lease = 'molecule/operator'

const opened: (() => Promise<void>)[] = []
afterAll(async () => {
  await Promise.all(opened.map((close) => close()))
})

/** Locks that a test holds, and a machine that stands still for a moment, are waited for longer than an operator would. */
function patient(databaseUrl: string): string {
  const url = new URL(databaseUrl)
  const waits = { lock_timeout: '30000', statement_timeout: '40000', query_timeout: '45000' }
  for (const [name, value] of Object.entries(waits)) url.searchParams.set(name, value)
  return url.href
}

/** A store that is closed after the file, also when a test asks for it. With `hasty`, its waits are an operator's. */
export function given(
  databaseUrl: string,
  { hasty = false, ...options }: Partial<StoreOptions> & { hasty?: boolean } = {},
): { store: Store; metrics: Metrics; sql: Sql } {
  const metrics = createMetrics()
  const url = hasty ? databaseUrl : patient(databaseUrl)
  const store = openStore({ databaseUrl: url, lease, metrics, log: pino({ level: 'silent' }), ...options })
  const client = new Client({ connectionString: databaseUrl })
  client.on('error', () => {})
  let turn: Promise<unknown> | undefined
  opened.push(async () => {
    await store.close()
    await client.end()
  })
  return {
    store,
    metrics,
    // One at a time, in the order asked. Connects for the first: a store alone needs no second connection.
    sql: (text, ...values) => {
      turn ??= client.connect()
      const asked = turn.then(async () => (await client.query(text, values)).rows)
      turn = asked.catch(() => {})
      return asked
    },
  }
}

/** A statement of the test's own, beside the store. */
export type Sql = (text: string, ...values: unknown[]) => Promise<Record<string, unknown>[]>

/** The right to write under an epoch; `lose()` is the lease running out by the process's own clock. */
export function fenceOf(epoch: bigint): Fence & { lose(): void } {
  let lost = false
  return {
    epoch,
    lose: () => (lost = true),
    check() {
      if (lost) throw new Fenced('the lease ran out')
    },
  }
}

let count = 0
/** An intent for a new root, in order with everything unless told otherwise. */
export function intent(more: Partial<WorkspaceIntent> = {}): WorkspaceIntent {
  const number = ++count
  return {
    id: workspaceId(randomUUID()),
    ownerUid: randomUUID(),
    namespace: 'acme',
    resourceName: `agent-${String(number)}`,
    generation: 1,
    displayName: `Agent ${String(number)}`,
    role: 'Tries {things}, "quoted" and \\escaped',
    parentOwnerUid: undefined,
    tier: 3,
    runtime: 'claude-code',
    model: 'sonnet',
    backend: 'process',
    template: '',
    specHash: 'hash-1',
    workspaceDir: undefined,
    workspaceAccess: 'none',
    // A beat alone makes online only what messages reach.
    deliveryMode: 'poll',
    maxConcurrentTasks: 1,
    updateTier: 'production',
    canvas: undefined,
    initialPhase: 'provisioning',
    claim: 'create',
    keepsParent: false,
    ...more,
  }
}

/** The row of an intent that had to be recorded. */
export function rowOf(recorded: Recorded): WorkspaceRow {
  if (recorded.kind !== 'recorded') throw new Error(`not recorded: ${JSON.stringify(recorded)}`)
  return recorded.row
}

/** By which a statement knows the row of an intent. */
export const keyOf = ({ id, ownerUid, namespace }: RowKey): RowKey => ({ id, ownerUid, namespace })

export const launchOf = (of: RowKey, specHash = 'hash-1') => ({
  ...keyOf(of),
  specHash,
  tokenHash: randomBytes(32),
  tokenPrefix: 'abcdefgh',
  at: new Date(),
})

export const beatOf = (id: WorkspaceIntent['id'], more: Partial<Heartbeat> = {}): Heartbeat => ({
  id,
  errorRate: 0,
  sampleError: '',
  activeTasks: 0,
  uptimeSeconds: 10,
  currentTask: '',
  monthlySpend: 0,
  state: 'healthy',
  ownsStatus: false,
  ownsSchedules: false,
  ...more,
})

/** The order in which rows were written. Their times are those of a clock, which may be set back. */
export const asWritten = 'ORDER BY xmin::text::bigint, ctid'

export const eventsOf = async (sql: Sql, id: string): Promise<unknown[]> =>
  (await sql(`SELECT event_type FROM structure_events WHERE workspace_id = $1 ${asWritten}`, id)).map(
    (row) => row['event_type'],
  )

/** Resolves when a session of this database waits for a lock. */
export const someoneWaits = (sql: Sql): Promise<unknown> =>
  until(
    async () => {
      const rows = await sql(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      )
      return rows.length > 0
    },
    { every: 10, what: 'a session that waits for a lock' },
  )
