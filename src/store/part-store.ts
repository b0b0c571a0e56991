/** The rows of what else a Workspace is made of: schedules, channels, memories, declared plugins, routing. */
import type { Fence } from '../fence.ts'
import type { RowKey } from './workspace-store.ts'

export interface DeclaredSchedule {
  /** Unique in its workspace. */
  readonly name: string
  /** Five fields. */
  readonly cron: string
  readonly timezone: string
  readonly prompt: string
  readonly enabled: boolean
}

export interface DeclaredChannel {
  /** Unique in its workspace. */
  readonly name: string
  readonly type: string
  /** Settings that are no secrets. */
  readonly config: Readonly<Record<string, string>>
  /** Sealed before they leave this process; a store without a key refuses them. */
  readonly credentials: Readonly<Record<string, string>> | undefined
  /** Undefined: everyone there. */
  readonly allowedUsers: readonly string[] | undefined
  readonly enabled: boolean
}

export interface SeedMemory {
  readonly content: string
  readonly scope: 'LOCAL' | 'TEAM' | 'GLOBAL'
}

export interface DeclaredPlugin {
  readonly name: string
  readonly source: string
}

/** All parts of one workspace, as its spec has them. */
export interface WorkspaceParts extends RowKey {
  readonly generation: number
  /** Digest of everything below: a row that carries it has these parts. */
  readonly hash: string
  readonly schedules: readonly DeclaredSchedule[]
  readonly channels: readonly DeclaredChannel[]
  /** Channels of the spec of which nothing can be said now: their rows, where there are any, stay as they are. */
  readonly keptChannels: readonly string[]
  readonly memories: readonly SeedMemory[]
  readonly plugins: readonly DeclaredPlugin[]
  readonly routing: Readonly<Record<string, readonly string[]>>
}

/** Those of `WorkspaceParts` that are recorded, in one transaction. */
export type PartsRecorded =
  /** `taken`: names of schedules that the agent uses for its own, which are left alone; the declared ones are not there. */
  | { readonly kind: 'recorded'; readonly changed: boolean; readonly taken: readonly string[] }
  /** The row belongs to another resource, carries a newer generation, or was removed: nothing was written. */
  | { readonly kind: 'stale' }

/**
 * Batched with its neighbours, fenced by epoch, and idempotent: parts whose hash the row carries write nothing, and of
 * others only what differs is written.
 *
 * - Schedules, channels and plugins that left the spec are removed; schedules that the agent made are never touched.
 * - Memories are seeds: each is given once, and from then on it is the agent's, to change and to forget. One that left
 *   the spec stays.
 */
export interface PartStore {
  recordParts(parts: WorkspaceParts, fence: Fence): Promise<PartsRecorded>
}
