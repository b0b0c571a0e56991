/**
 * What the last pass of this leader found of each Workspace, for decisions about others: rollouts, imports, the use of a
 * Runtime. The statuses say the same, but may be patched by tenants that have rights on them, so they are no evidence. A new
 * leader knows nothing yet: a Workspace without a result is taken for the worse until its first pass.
 */
import { keyOf, type Key } from '../api/meta.ts'
import type { WorkspaceCondition } from '../api/reasons.ts'
import type { Workspace, WorkspaceStatus } from '../api/workspace.ts'
import type { StatusDraft, Verdict } from '../kube/reconciler.ts'
import { cut } from '../text.ts'

export interface PassResult {
  readonly uid: string
  readonly generation: number
  /** The Runtime in use, defaults applied, or the one of the row where the pass chose none; undefined: there is none. */
  readonly runtime: string | undefined
  /** A pass of this leader has read its row. Before that, `runtime` and `startedAt` are not known. */
  readonly rowRead: boolean
  readonly phase: WorkspaceStatus['phase']
  readonly ready: boolean
  /** Whether it is meant to run, is paused, or sleeps; undefined where the pass did not come that far. */
  readonly power: 'Running' | 'Paused' | 'Hibernated' | undefined
  /** The image that is wanted, and whether what runs was made from it. */
  readonly image: WorkspaceStatus['image'] | undefined
  readonly startedAt: Date | undefined
  /** Why it is not Ready; undefined where it is. */
  readonly unready: Unready | undefined
  /** Its agent has been at a task without traffic for longer than any should. */
  readonly busyTooLong: boolean
  /** What of its declared parts is there. */
  readonly parts: WorkspaceStatus['parts']
}

/** What a Ready condition says that is not True. */
export interface Unready {
  readonly reason: string
  readonly message: string
  /** Only a person can help. */
  readonly blocked: boolean
}

/** What a row says of the instance, where no pass of this leader has looked at it. */
export type RowFacts = Pick<PassResult, 'runtime' | 'startedAt'>

/** What a pass looked at. `instance`: true, or what the row says of one that could not be looked at. */
export interface Looked {
  readonly instance: true | Pick<RowFacts, 'startedAt'>
  readonly parts: boolean
}

/** `before` and `after` are results for the same Workspace; `after` is undefined once it is gone. */
export type FleetListener = (workspace: Workspace, before?: PassResult, after?: PassResult) => void

export class Fleet {
  readonly #results = new Map<Key, PassResult>()
  readonly #listeners: FleetListener[] = []

  onChange(listener: FleetListener): void {
    this.#listeners.push(listener)
  }

  /**
   * A pass came to its end. Where it could not look at the instance or at the parts, the draft repeats what the status said
   * before, which a tenant may have written: what this leader found earlier is kept instead, or what the row says.
   */
  note(
    workspace: Workspace,
    verdict: Verdict<WorkspaceStatus>,
    looked: Looked = { instance: true, parts: true },
  ): void {
    const result = resultOf(workspace, verdict)
    const known = this.of(workspace) ?? nothingKnown
    const ofInstance =
      looked.instance === true ? {} : { startedAt: known.startedAt ?? looked.instance.startedAt, image: known.image }
    this.#set(workspace, { ...result, ...ofInstance, ...(!looked.parts && { parts: known.parts }) })
  }

  /**
   * A pass could not begin, or was cut off: a draft of it repeats what the status said before, which proves nothing, but
   * for why that is so. `row`: what its row says; undefined where it was not read.
   */
  noteBlocked(
    workspace: Workspace,
    unready: Unready,
    { halted, row }: { readonly halted?: Pick<PassResult, 'phase'> | undefined; readonly row?: RowFacts | 'none' } = {},
  ): void {
    const { uid, generation } = workspace.metadata
    const known = this.of(workspace) ?? nothingKnown
    const recorded = row && { rowRead: true, ...(row !== 'none' && row) }
    const now = { uid, generation, ready: false, unready: shortened(unready) }
    const rest = halted && ({ power: 'Paused', startedAt: undefined, busyTooLong: false } as const)
    this.#set(workspace, { ...known, ...recorded, ...now, ...halted, ...rest })
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

/** Of so many results that what failing agents said last is no burden. */
const shortened = (unready: Unready): Unready => ({ ...unready, message: cut(unready.message, 300) })

const nothingKnown: Omit<PassResult, 'uid' | 'generation' | 'ready' | 'unready'> = {
  parts: undefined,
  busyTooLong: false,
  runtime: undefined,
  rowRead: false,
  phase: undefined,
  power: undefined,
  image: undefined,
  startedAt: undefined,
}

function resultOf({ metadata }: Workspace, { status, outcome }: Verdict<WorkspaceStatus>): PassResult {
  const started = Date.parse(status.instance?.startedAt ?? '')
  // A person has to help, so it is not ready, whatever the draft says: the report says the same.
  const ready = outcome.kind !== 'blocked' && holds(status, 'Ready')
  return {
    uid: metadata.uid,
    generation: metadata.generation,
    runtime: status.runtime,
    rowRead: true,
    phase: status.phase,
    ready,
    power: status.effectivePower?.state,
    image: status.image,
    startedAt: Number.isNaN(started) ? undefined : new Date(started),
    unready: ready ? undefined : shortened(unreadyOf({ status, outcome })),
    busyTooLong: holds(status, 'BusyTooLong'),
    parts: status.parts,
  }
}

const holds = ({ conditions }: Pick<StatusDraft<WorkspaceStatus>, 'conditions'>, wanted: WorkspaceCondition): boolean =>
  conditions.some(({ type, status }) => type === wanted && status === 'True')

/** Why a pass that did not end in Ready ended as it did. */
export function unreadyOf({ status, outcome }: Verdict<WorkspaceStatus>): Unready {
  if (outcome.kind === 'blocked') return { reason: outcome.reason, message: outcome.message, blocked: true }
  const { reason = 'Progressing', message = '' } = status.conditions.find(({ type }) => type === 'Ready') ?? {}
  return { reason, message, blocked: false }
}

/** An instance of it is coming up, or may be: no pass has looked at what was last asked of it. */
export const isStarting = ({ metadata }: Workspace, result: PassResult | undefined): boolean =>
  metadata.deletionTimestamp === undefined &&
  (result?.generation !== metadata.generation || result.phase === 'provisioning')

/** Paused as of its last pass, or about to be started by the next: its row says so until then. */
export const isPaused = (result: PassResult | undefined): boolean =>
  result?.power === 'Paused' || result?.phase === 'paused'
