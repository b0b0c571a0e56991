/** What the tests of the rows start from. */
import { randomBytes, randomUUID } from 'node:crypto'
import { Client } from 'pg'
import { pino } from 'pino'
import { afterAll } from 'vitest'
import { Fenced } from '../../src/errors.ts'
import type { Fence } from '../../src/fence.ts'
import type { Heartbeat } from '../../src/store/agent-store.ts'
import { openStore, type Store, type StoreOptions } from '../../src/store/postgres/open.ts'
import { workspaceId, type Recorded, type WorkspaceIntent, type WorkspaceRow } from '../../src/store/workspace-store.ts'
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts'
import { until } from '../support/until.ts'

export const lease = 'molecule/operator'

const opened: (() => Promise<void>)[] = []
afterAll(async () => {
  await Promise.all(opened.map((close) => close()))
})

/** A store that is closed after the file, also when a test asks for it. */
export function given(
  databaseUrl: string,
  options: Partial<StoreOptions> = {},
): { store: Store; metrics: Metrics; sql: Sql } {
  const metrics = createMetrics()
  const store = openStore({ databaseUrl, lease, metrics, log: pino({ level: 'silent' }), ...options })
  const client = new Client({ connectionString: databaseUrl })
  client.on('error', () => {})
  let turn: Promise<unknown> = client.connect()
  opened.push(async () => {
    await store.close()
    await client.end()
  })
  return {
    store,
    metrics,
    // One at a time, in the order asked.
    sql: (text, ...values) => {
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
    parentId: undefined,
    tier: 3,
    runtime: 'claude-code',
    model: 'sonnet',
    backend: 'process',
    template: '',
    specHash: 'hash-1',
    workspaceDir: undefined,
    workspaceAccess: 'none',
    deliveryMode: 'push',
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

export const launchOf = (id: WorkspaceIntent['id'], specHash = 'hash-1') => ({
  id,
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
  ...more,
})

export const eventsOf = async (sql: Sql, id: string): Promise<unknown[]> =>
  (await sql('SELECT event_type FROM structure_events WHERE workspace_id = $1 ORDER BY created_at', id)).map(
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
