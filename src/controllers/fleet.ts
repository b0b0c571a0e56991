/**
 * What the last pass of this leader found of each Workspace, for decisions about others: rollouts, imports, the use of a
 * Runtime. The statuses say the same, but may be patched by whoever has rights on them, so they are no evidence. A new
 * leader knows nothing yet: a Workspace without a result is taken for the worse until its first pass.
 */
import { keyOf, type Key } from '../api/meta.ts'
import type { Workspace, WorkspaceStatus } from '../api/workspace.ts'
import type { StatusDraft } from '../kube/reconciler.ts'

export interface PassResult {
  readonly uid: string
  readonly generation: number
  /** The Runtime in use, defaults applied; undefined where none was found. */
  readonly runtime: string | undefined
  readonly phase: WorkspaceStatus['phase']
  readonly ready: boolean
  /** Whether it is meant to run, is paused, or sleeps; undefined where the pass did not come that far. */
  readonly power: 'Running' | 'Paused' | 'Hibernated' | undefined
  /** The image that is wanted, and whether what runs was made from it. */
  readonly image: WorkspaceStatus['image'] | undefined
  readonly startedAt: Date | undefined
}

/** `before` and `after` are results for the same Workspace; `after` is undefined once it is gone. */
export type FleetListener = (workspace: Workspace, before?: PassResult, after?: PassResult) => void

export class Fleet {
  readonly #results = new Map<Key, PassResult>()
  readonly #listeners: FleetListener[] = []

  onChange(listener: FleetListener): void {
    this.#listeners.push(listener)
  }

  /** A pass came to its end. */
  note(workspace: Workspace, status: StatusDraft<WorkspaceStatus>): void {
    this.#set(workspace, resultOf(workspace, status))
  }

  /** A pass could not begin: its draft repeats what the status said before, which proves nothing. */
  noteBlocked(workspace: Workspace, halted?: { readonly phase: WorkspaceStatus['phase'] }): void {
    const { uid, generation } = workspace.metadata
    const known = this.of(workspace) ?? nothingKnown
    const rest = halted && ({ power: 'Paused', startedAt: undefined } as const)
    this.#set(workspace, { ...known, uid, generation, ready: false, ...halted, ...rest })
  }

  /** The object is gone from the cache. */
  forget(workspace: Workspace): void {
    const before = this.of(workspace)
    if (before !== undefined) this.#results.delete(keyOf(workspace))
    for (const listener of this.#listeners) listener(workspace, before)
  }

  #set(workspace: Workspace, after: PassResult): void {
    const before = this.of(workspace)
    this.#results.set(keyOf(workspace), after)
    for (const listener of this.#listeners) listener(workspace, before, after)
  }

  /** Undefined before the first pass; what is known of a namesake that was deleted does not count. */
  of(workspace: Workspace): PassResult | undefined {
    const result = this.#results.get(keyOf(workspace))
    return result?.uid === workspace.metadata.uid ? result : undefined
  }
}

const nothingKnown: Omit<PassResult, 'uid' | 'generation' | 'ready'> = {
  runtime: undefined,
  phase: undefined,
  power: undefined,
  image: undefined,
  startedAt: undefined,
}

export function resultOf({ metadata }: Workspace, status: StatusDraft<WorkspaceStatus>): PassResult {
  const started = Date.parse(status.instance?.startedAt ?? '')
  return {
    uid: metadata.uid,
    generation: metadata.generation,
    runtime: status.runtime,
    phase: status.phase,
    ready: status.conditions.some(({ type, status: holds }) => type === 'Ready' && holds === 'True'),
    power: status.effectivePower?.state,
    image: status.image,
    startedAt: Number.isNaN(started) ? undefined : new Date(started),
  }
}

/** An instance of it is coming up, or may be: no pass has looked at what was last asked of it. */
export const isStarting = ({ metadata }: Workspace, result: PassResult | undefined): boolean =>
  metadata.deletionTimestamp === undefined &&
  (result?.generation !== metadata.generation || result.phase === 'provisioning')

/** Paused as of its last pass, or about to be started by the next: its row says so until then. */
export const isPaused = (result: PassResult | undefined): boolean =>
  result?.power === 'Paused' || result?.phase === 'paused'
