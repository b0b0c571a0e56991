import type { Logger } from '../../telemetry/log.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { AgentStore } from '../agent-store.ts'
import type { LeaderStore } from '../leader-store.ts'
import type { WorkspaceStore } from '../workspace-store.ts'
import { openAgents } from './agents.ts'
import { openLeaders } from './leaders.ts'
import { createListener } from './notify.ts'
import { openPool } from './pool.ts'
import { openWorkspaces } from './workspaces.ts'

export interface StoreOptions {
  readonly databaseUrl: string
  /** The leadership whose epoch must be the writer's, as given to `leaders.begin`. */
  readonly lease: string
  readonly metrics: Metrics
  readonly log: Logger
  /** Connections at most, without the one that listens. */
  readonly connections?: number
  /** Milliseconds between two looks at what was signalled without being heard. */
  readonly pollEvery?: number
}

export interface Store {
  readonly workspaces: WorkspaceStore
  readonly agents: AgentStore
  readonly leaders: LeaderStore
  /** Writes what waits, then closes the connections. End the iterations of `changes` by their own signal. */
  close(): Promise<void>
}

/** The rows in PostgreSQL. Connects on first use, and the schema must have been migrated. */
export function openStore(options: StoreOptions): Store {
  const { metrics, lease } = options
  const database = openPool(options)
  const workspaces = openWorkspaces(database, createListener(options), metrics, lease)
  const agents = openAgents(database, metrics)
  return {
    workspaces,
    agents,
    leaders: openLeaders(database),
    async close() {
      await Promise.all([workspaces.close(), agents.close()])
      await database.close()
    },
  }
}
