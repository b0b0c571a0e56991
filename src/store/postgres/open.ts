import { Dependency } from '../../telemetry/dependency.ts'
import type { Logger } from '../../telemetry/log.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { AgentStore } from '../agent-store.ts'
import type { HistoryStore } from '../history-store.ts'
import type { LeaderStore } from '../leader-store.ts'
import type { OrphanStore } from '../orphan-store.ts'
import type { PartStore } from '../part-store.ts'
import type { RestartStore } from '../restart-store.ts'
import type { ScheduleStore } from '../schedule-store.ts'
import type { WorkspaceStore } from '../workspace-store.ts'
import { Address } from './address.ts'
import { openAgents } from './agents.ts'
import { troubles } from './faults.ts'
import { openHistory } from './history.ts'
import { openLeaders } from './leaders.ts'
import { createListener } from './notify.ts'
import { openOrphans } from './orphans.ts'
import { openParts } from './parts.ts'
import { openPool, type Database, type PoolOptions } from './pool.ts'
import { openRestarts } from './restarts.ts'
import { openSchedules } from './schedules.ts'
import { createSeal } from './seal.ts'
import { createWatchdog, type LookTimes } from './watchdog.ts'
import { openWorkspaces } from './workspaces.ts'

export interface StoreOptions {
  /** What it was when the schema was looked at. */
  readonly databaseUrl: string
  /** What it is by now; throws where that cannot be told. The same as ever unless given. */
  readonly readDatabaseUrl?: () => string
  /** The leadership whose epoch must be the writer's, as given to `leaders.begin`. */
  readonly lease: string
  readonly metrics: Metrics
  readonly log: Logger
  /** Connections at most, without the one that listens. */
  readonly connections?: number
  /** When it is looked whether the database serves. */
  readonly lookTimes?: Partial<LookTimes>
  /** Milliseconds between two looks at what was signalled without being heard. */
  readonly pollEvery?: number
  /** 32 bytes that credentials are sealed with. Without them, parts with credentials and launches with a secret are refused. */
  readonly secretsKey?: Buffer | undefined
}

export interface Store {
  readonly workspaces: WorkspaceStore
  readonly agents: AgentStore
  readonly leaders: LeaderStore
  readonly history: HistoryStore
  readonly parts: PartStore
  /** Differs when the key of credentials does, and tells nothing of it; undefined: there is none. */
  readonly sealing: string | undefined
  readonly schedules: ScheduleStore
  readonly restarts: RestartStore
  readonly orphans: OrphanStore
  /** Whether the database serves: known while `watch` runs. */
  readonly dependency: Dependency
  /** Looks at that until the signal aborts. */
  watch(signal: AbortSignal): Promise<void>
  /** Writes what waits, then closes the connections. End the iterations of `changes` by their own signal. */
  close(): Promise<void>
}

/** The rows in PostgreSQL. Connects on first use, and the schema must have been migrated. */
export function openStore(options: StoreOptions): Store {
  const { databaseUrl: url, readDatabaseUrl: read = () => url, metrics, log, lease, secretsKey } = options
  const address = new Address({ url, read, log, onChange: () => database.renew() })
  const databaseUrl = () => address.url
  const dependency = new Dependency({ name: 'database', causes: troubles, log, metrics })
  const watchdog = createWatchdog({ address, dependency, times: options.lookTimes ?? {} })
  const onTrouble: PoolOptions['onTrouble'] = (trouble, error) => {
    dependency.count(trouble)
    watchdog.notice(trouble, error)
  }
  const database: Database = openPool({ ...options, databaseUrl, refusal: () => watchdog.refusal, onTrouble })
  const seal = secretsKey && createSeal(secretsKey)
  const workspaces = openWorkspaces(
    database,
    createListener({ ...options, databaseUrl, database }),
    metrics,
    lease,
    seal,
  )
  const agents = openAgents(database, metrics, seal)
  const parts = openParts(database, metrics, lease, seal)
  const schedules = openSchedules(database, metrics, lease)
  return {
    workspaces,
    agents,
    leaders: openLeaders(database),
    history: openHistory(database),
    parts,
    sealing: seal?.digest('key', 'parts').toString('hex'),
    schedules,
    restarts: openRestarts(database),
    orphans: openOrphans(database, lease),
    dependency,
    watch: (signal) => watchdog.run(signal),
    async close() {
      await Promise.all([workspaces, agents, parts, schedules].map((rows) => rows.close()))
      await database.close()
    },
  }
}
