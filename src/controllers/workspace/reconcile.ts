/** The way of one Workspace: claim, record, observe, plan, act, record, report. The numbers are the architecture's. */
import { keyOf } from '../../api/meta.ts'
import type { Workspace, WorkspaceStatus } from '../../api/workspace.ts'
import type { Backend } from '../../backends/backend.ts'
import { minutes, seconds } from '../../duration.ts'
import { Terminal } from '../../errors.ts'
import { failpoint } from '../../failpoint.ts'
import { redactor, scrub } from '../../redaction.ts'
import type { Context, Outcome, Reconciler, Trouble, Verdict } from '../../kube/reconciler.ts'
import type { Haste } from '../../store/haste.ts'
import type { Phase, Recorded, WorkspaceRow } from '../../store/workspace-store.ts'
import { isPaused, unreadyOf, type Fleet, type RowFacts } from '../fleet.ts'
import { hasVerdict, untilRead } from '../unread.ts'
import { Deeds } from './deeds.ts'
import { discreet } from './discreet-backend.ts'
import { describe, describeObstacle, describeSuspended } from './describe.ts'
import { equip, type EquipCollaborators } from './equip.ts'
import { finish, type FinishCollaborators } from './finish.ts'
import type { Facts } from './judge.ts'
import { again, outcomeAfter } from './outcome.ts'
import { plan, type Step } from './plan.ts'
import { powerOf, type PowerVerdict } from './power.ts'
import { isObstacle, type Obstacle } from './obstacle.ts'
import { ofRow, ownerOf, resolve, type Desired, type Settings, type Surroundings } from './resolve.ts'
import { groupOf, Senses, type SenseCollaborators } from './sense.ts'
import { changedParts } from './spec-hash.ts'
import { unrecorded } from './unrecorded.ts'

export interface WorkspaceCollaborators
  extends
    Omit<SenseCollaborators, 'backend'>,
    Pick<FinishCollaborators, 'descendants' | 'destroy' | 'orphans'>,
    EquipCollaborators {
  readonly backends: ReadonlyMap<string, Backend>
  readonly settings: Settings
  /** Told what each pass found: others decide by it. */
  readonly fleet: Fleet
  readonly surroundings: (workspace: Workspace) => Surroundings
  /** Told what became of an intent: children may be waiting for the row. */
  readonly onRecord: (workspace: Workspace, recorded: Recorded) => void
  /** Bytes of disk that the instance of a uid took at the last look. */
  readonly disk: (uid: string) => number | undefined
  /** Asks the API server itself, past every cache, whether the object is there in this very generation, to stay. */
  readonly confirm: (workspace: Workspace, signal: AbortSignal) => Promise<boolean>
  readonly children: (workspace: Workspace) => { readonly total: number; readonly ready: number }
}

export class WorkspaceReconciler implements Reconciler<Workspace> {
  readonly #with: WorkspaceCollaborators
  readonly #senses: Senses
  readonly #deeds: Deeds

  constructor(collaborators: WorkspaceCollaborators) {
    this.#with = collaborators
    const backend = (name: string) => this.#backend(name)
    this.#senses = new Senses({ ...collaborators, backend })
    collaborators.fleet.onChange(({ metadata }, _, after) => void (after ?? this.#senses.forgetObject(metadata.uid)))
    this.#deeds = new Deeds({
      ...collaborators,
      backend,
      read: (look, ctx) => this.#senses.read(look, ctx),
      began: (uid, seen) => this.#senses.began(uid, seen),
    })
  }

  async reconcile(workspace: Workspace, ctx: Context): Promise<Verdict<WorkspaceStatus>> {
    if (workspace.metadata.deletionTimestamp !== undefined) return await this.#finish(workspace, ctx)
    if (workspace.spec.suspend) return await this.#stopped(workspace, describeSuspended(workspace))
    const { settings, surroundings, fleet } = this.#with
    const around = surroundings(workspace)
    const power = powerOf(workspace, around.sibling, (other) => isPaused(fleet.of(other)), ctx.now())
    if (power.end?.over === true && power.end.action === 'Delete') return await this.#expire(workspace, ctx)
    const wanted = resolve(workspace, around, settings)
    const asked = isObstacle(wanted) ? wanted : ((await this.#neverBegun(workspace, wanted)) ?? wanted)
    if (isObstacle(asked)) {
      // A pause holds whatever else of the spec cannot be followed.
      const halted = power.power.state === 'Paused' ? await this.#deeds.halt(workspace, ctx) : undefined
      const told = halted === undefined || workspace.status?.phase === halted.status
      if (asked.unread === true && told && hasVerdict(workspace)) throw untilRead(asked.message)
      const verdict = describeObstacle(workspace, asked, outcomeOf(asked), halted && { row: halted, power })
      return await this.#stopped(workspace, verdict, { halted })
    }

    try {
      return await this.#pursue(workspace, { asked, power, around }, ctx)
    } catch (error) {
      // Conditions and log lines are made of it: an engine may have quoted what it was sent.
      scrub(error, asked.redact)
      throw error
    }
  }

  async #pursue(
    workspace: Workspace,
    { asked, power, around }: { asked: Desired; power: PowerVerdict; around: Surroundings },
    ctx: Context,
  ): Promise<Verdict<WorkspaceStatus>> {
    const { children, disk, onRecord } = this.#with
    await ctx.claim() // 1
    failpoint('claimed')
    const recorded = await this.#record(workspace, asked, ctx) // 2
    failpoint('recorded')
    onRecord(workspace, recorded)
    if (recorded.kind !== 'recorded') {
      const none = recorded.kind === 'parentMissing'
      return await this.#stopped(workspace, unrecorded(workspace, asked, recorded), none ? { row: 'none' } : {})
    }
    const desired = ofRow(asked, recorded.row)

    const parts = await equip(workspace, recorded.row, around.look, this.#with, ctx)
    const look = await this.#senses.observe(workspace, desired, recorded.row, ctx) // 3
    const used = disk(workspace.metadata.uid)
    const rest = { ...(used !== undefined && { disk: used }), children: children(workspace) }
    const read = this.#senses.read({ workspace, desired, power, parts, ...look, ...rest }, ctx)
    const before = await this.#senses.rouse(read, ctx)
    const step = plan(before.sight, before.wish) // 4
    if (step === 'launch' && desired.unlaunchable !== undefined)
      return await this.#stopped(
        workspace,
        describeObstacle(workspace, desired.unlaunchable, outcomeOf(desired.unlaunchable)),
        { row: recorded.row },
      )
    const after = await this.#deeds.act(step, before, ctx) // 5 and 6
    return this.#report(step, after, ctx) // 7
  }

  /** Why nothing is begun of what may not be launched. What was launched before that, of the same content, goes on. */
  async #neverBegun(workspace: Workspace, { unlaunchable, hash, intent }: Desired): Promise<Obstacle | undefined> {
    if (unlaunchable === undefined) return undefined
    const launched = (await this.#with.rows.find(ownerOf(workspace)))?.launchedHash
    const same = launched !== undefined && !changedParts(hash.recognise(launched).text, intent.specHash).has('content')
    return same ? undefined : unlaunchable
  }

  /**
   * A row that is ahead of its object, or removed while the object lives, is the future of an API server that was put back
   * from a backup; or the object of the cache is the past. Which of them, the API server says.
   */
  async #record(workspace: Workspace, { intent }: Desired, ctx: Context): Promise<Recorded> {
    const { rows, confirm } = this.#with
    const recorded = await rows.record(intent, ctx.fence, hasteOf(workspace))
    if (recorded.kind !== 'stale' || !(await confirm(workspace, ctx.signal))) return recorded
    const followed = await rows.follow(intent, ctx.fence)
    ctx.log.warn(
      { generation: intent.generation, became: followed.kind },
      'row was ahead of its object, and follows it',
    )
    return followed
  }

  #report(step: Step, facts: Facts, ctx: Context): Verdict<WorkspaceStatus> {
    const { workspace, row, wish, sight, seen, desired, parts } = facts
    const at = ctx.now()
    const up = sight === 'serving' && (row.status === 'online' || row.status === 'degraded')
    if (up || wish === 'stopped' || wish === 'asleep')
      this.#with.rollout.leave(groupOf(desired.intent), keyOf(workspace))
    const outcome = outcomeAfter(step, facts, this.#senses.ageOf(workspace.metadata.uid, seen, at), at)
    const verdict = describe(facts, outcome, at)
    this.#with.fleet.note(workspace, verdict, {
      instance: seen.state === 'unknown' ? factsOf(row) : true,
      parts: parts === undefined || parts.delivered !== undefined,
    })
    return verdict
  }

  /**
   * A pass that did not come to look at the instance. Its row, where the pass has not read it, is read once by each leader:
   * a Runtime counts by it what runs.
   */
  async #stopped(
    workspace: Workspace,
    verdict: Verdict<WorkspaceStatus>,
    { halted, row }: { readonly halted?: WorkspaceRow | undefined; readonly row?: WorkspaceRow | 'none' } = {},
  ): Promise<Verdict<WorkspaceStatus>> {
    const { fleet, rows } = this.#with
    const known = fleet.of(workspace)?.rowRead === true
    const read = row ?? halted ?? (known ? undefined : ((await rows.find(ownerOf(workspace))) ?? 'none'))
    fleet.noteBlocked(workspace, unreadyOf(verdict), {
      halted: halted && { phase: halted.status },
      ...(read !== undefined && { row: read === 'none' ? read : factsOf(read) }),
    })
    return verdict
  }

  /** What holds up a pass for longer than a moment holds up those who wait for the object, too. */
  onTrouble(workspace: Workspace, { kind, reason, message }: Trouble): void {
    if (kind !== 'waiting') this.#with.fleet.noteBlocked(workspace, { reason, message, blocked: kind === 'blocked' })
  }

  async #finish(workspace: Workspace, ctx: Context): Promise<Verdict<WorkspaceStatus>> {
    const { rows, descendants, destroy, orphans, rollout, fleet } = this.#with
    const runtime = fleet.of(workspace)?.runtime
    const { namespace = '' } = workspace.metadata
    if (runtime !== undefined) rollout.leave({ namespace, runtime }, keyOf(workspace))
    // What was given to the instance is not looked up any more.
    return await finish(workspace, ctx, {
      rows,
      descendants,
      destroy,
      orphans,
      backend: (name) => discreet(this.#backend(name), redactor([])),
    })
  }

  /** Its lifetime is over and the spec said so beforehand: it goes the way of every deletion. */
  async #expire(workspace: Workspace, ctx: Context): Promise<Verdict<WorkspaceStatus>> {
    ctx.event('Normal', 'Expired', 'its lifetime is over: it is deleted, as spec.lifetime asks')
    await this.#with.destroy(workspace, ctx.signal)
    const obstacle: Obstacle = {
      condition: 'Ready',
      reason: 'Expired',
      message: 'its lifetime is over: it is being deleted',
      waits: true,
    }
    return await this.#stopped(workspace, describeObstacle(workspace, obstacle, again(seconds(5), 'its deletion')))
  }

  /** Rows outlive configurations: an instance may live where this operator no longer reaches. */
  #backend(name: string): Backend {
    const backend = this.#with.backends.get(name)
    if (backend !== undefined) return backend
    throw new Terminal(
      'BackendNotConfigured',
      `the instance lives on backend "${name}", which is not turned on in this operator: add it to BACKENDS`,
    )
  }
}

/** A person waits for an edit: it is written at once. New rows and repeated looks are batched, those of an import for longer. */
function hasteOf({ metadata, status }: Workspace): Haste {
  if (status?.workspaceID === undefined)
    return metadata.ownerReferences?.some(({ controller }) => controller === true) === true ? 'calm' : 'soon'
  return status.observedGeneration === metadata.generation ? 'soon' : 'now'
}

const withInstance: ReadonlySet<Phase> = new Set(['online', 'degraded', 'offline'])

/** The instance as it was recorded last. */
const factsOf = ({ runtime, status, instanceId, launchedAt }: WorkspaceRow): RowFacts => ({
  runtime,
  startedAt: instanceId !== undefined && withInstance.has(status) ? launchedAt : undefined,
})

const outcomeOf = ({ waits, reason, message }: Obstacle): Outcome =>
  waits ? again(minutes(1), message) : { kind: 'blocked', reason, message }
