/** The way of one Workspace: claim, record, observe, plan, act, record, report. The numbers are the architecture's. */
import type { Workspace, WorkspaceStatus } from '../../api/workspace.ts'
import type { Backend, Observation } from '../../backends/backend.ts'
import { milliseconds, minutes, seconds, type Duration } from '../../duration.ts'
import { RetryAfter, Terminal } from '../../errors.ts'
import { failpoint } from '../../failpoint.ts'
import type { Context, Outcome, Reconciler, Verdict } from '../../kube/reconciler.ts'
import {
  phases,
  type Phase,
  type Recorded,
  type WorkspaceRow,
  type WorkspaceStore,
} from '../../store/workspace-store.ts'
import { workspaceId } from '../../store/workspace-store.ts'
import { describe, describeDeleting, describeObstacle, describeSuspended } from './describe.ts'
import type { Facts } from './judge.ts'
import { holdOf, plan, sightOf, type Memory, type Sight, type Step, type Wish } from './plan.ts'
import { lastWords } from './redact.ts'
import { isObstacle, refOf, resolve, type Desired, type Obstacle, type Settings, type Surroundings } from './resolve.ts'
import { mintToken } from './token.ts'

export interface WorkspaceCollaborators {
  readonly rows: WorkspaceStore
  readonly backends: ReadonlyMap<string, Backend>
  readonly settings: Settings
  readonly surroundings: (workspace: Workspace) => Surroundings
  /** Told when a row was written: children may be waiting for it. */
  readonly onRecorded: (workspace: Workspace) => void
  readonly children: (workspace: Workspace) => { readonly total: number; readonly ready: number }
}

/** All there is to know of a row that was removed. */
const tombstone: Memory = {
  status: 'removed',
  launchedHash: undefined,
  launchedAt: undefined,
  launchAttempts: 0,
  registeredAt: undefined,
}
const live: readonly Phase[] = phases.filter((phase) => phase !== 'removed')
const settled: Outcome = { kind: 'settled' }
const again = (after: Duration, waitingFor: string): Outcome => ({ kind: 'again', after, waitingFor })

export class WorkspaceReconciler implements Reconciler<Workspace> {
  readonly #with: WorkspaceCollaborators

  constructor(collaborators: WorkspaceCollaborators) {
    this.#with = collaborators
  }

  async reconcile(workspace: Workspace, ctx: Context): Promise<Verdict<WorkspaceStatus>> {
    if (workspace.metadata.deletionTimestamp !== undefined) return await this.#finish(workspace, ctx)
    if (workspace.spec.suspend) return describeSuspended(workspace)
    const { rows, settings, surroundings, children, onRecorded } = this.#with
    const desired = resolve(workspace, surroundings(workspace), settings)
    if (isObstacle(desired)) return describeObstacle(workspace, desired, outcomeOf(desired))

    await ctx.claim() // 1
    failpoint('claimed')
    // Somebody waits for an edit; what is new comes with company, and one statement for many of them is worth a moment.
    const edited = workspace.status?.workspaceID !== undefined
    const recorded = await rows.record(desired.intent, ctx.fence, edited) // 2
    failpoint('recorded')
    if (recorded.kind !== 'recorded') return unrecorded(workspace, recorded)
    if (recorded.changed) onRecorded(workspace)

    const before = await this.#look(workspace, desired, recorded.row, ctx) // 3
    const step = plan(before.sight, before.wish) // 4
    const after = await this.#act(step, before, ctx) // 5 and 6
    return describe({ ...after, children: children(workspace) }, outcomeAfter(step, after, ctx.now())) // 7
  }

  async #look(workspace: Workspace, desired: Desired, row: WorkspaceRow, ctx: Context): Promise<Facts> {
    const seen = await this.#backend(row.backend).observe(desired.instance.ref, ctx.signal)
    return interpret({ workspace, desired, row, seen, children: { total: 0, ready: 0 } }, ctx.now())
  }

  /** Does the one step, records what came of it, and gives the facts as they are then. */
  async #act(step: Step, facts: Facts, ctx: Context): Promise<Facts> {
    const { desired, row } = facts
    ctx.fence.check()
    switch (step) {
      case 'launch':
        return await this.#launch(facts, ctx)
      case 'fail':
        return await this.#fail(facts, ctx)
      case 'remove': {
        ctx.log.info({ backend: row.backend, sight: facts.sight }, 'removing instance')
        const done = await this.#backend(row.backend).remove(desired.instance.ref, 'keep', ctx.signal)
        failpoint('removed')
        const seen: Observation = done === 'gone' ? { state: 'absent' } : facts.seen
        return interpret({ ...facts, seen }, ctx.now())
      }
      case 'nothing':
        return facts.wish === 'stopped' ? await this.#rest(facts, ctx) : await this.#note(facts, ctx)
      case 'wait':
        return await this.#note(facts, ctx)
      case 'erase':
        throw new Error('erase is planned for a deletion alone')
    }
  }

  async #launch(facts: Facts, ctx: Context): Promise<Facts> {
    const { rows } = this.#with
    const { desired, row } = facts
    const { id, specHash } = desired.intent
    const token = mintToken()
    const launched = await rows.launch(
      { id, specHash, tokenHash: token.hash, tokenPrefix: token.prefix, at: ctx.now() },
      ctx.fence,
    )
    failpoint('launching')
    ctx.fence.check()
    try {
      const seen = await this.#backend(row.backend).ensure({ ...desired.instance, token: token.text }, ctx.signal)
      failpoint('ensured')
      return await this.#note(interpret({ ...facts, row: launched, seen }, ctx.now()), ctx)
    } catch (error) {
      if (error instanceof RetryAfter)
        return interpret({ ...facts, row: launched, delay: { after: error.after, why: error.message } }, ctx.now())
      if (!(error instanceof Terminal)) throw error
      const { reason, message } = error
      const failed = await this.#change(facts, 'failed', 'WORKSPACE_PROVISION_FAILED', reason, message, ctx)
      return interpret({ ...facts, row: failed, refusal: { reason, message } }, ctx.now())
    }
  }

  /** Says why it ended, with its last words, before anything is taken away. */
  async #fail(facts: Facts, ctx: Context): Promise<Facts> {
    const { desired, row, seen, sight } = facts
    const log = await this.#backend(row.backend).logs(desired.instance.ref, 8192, ctx.signal)
    const words = lastWords(log, desired.secrets)
    const what = seen.state === 'exited' ? seen.detail : 'it is running, but silent'
    const error = words === '' ? what : `${what}; last output: ${words}`
    const served = row.registeredAt !== undefined
    const failed = served
      ? await this.#change(facts, 'offline', 'WORKSPACE_OFFLINE', 'InstanceExited', error, ctx)
      : await this.#change(facts, 'failed', 'WORKSPACE_PROVISION_FAILED', 'BootFailed', error, ctx)
    failpoint('failed')
    ctx.event('Warning', sight === 'crashed' ? 'InstanceExited' : 'BootDeadlineExceeded', error)
    return interpret({ ...facts, row: failed }, ctx.now())
  }

  /** Paused, and nothing is there any more. */
  async #rest(facts: Facts, ctx: Context): Promise<Facts> {
    if (facts.row.status === 'paused') return facts
    const row = await this.#change(facts, 'paused', 'WORKSPACE_PAUSED', 'Paused', undefined, ctx)
    return interpret({ ...facts, row }, ctx.now())
  }

  /** Records the facts of a running instance where the row does not have them yet. */
  async #note(facts: Facts, ctx: Context): Promise<Facts> {
    const { seen, row } = facts
    if (seen.state !== 'running') return facts
    const imageDigest = seen.imageDigest === '' ? undefined : seen.imageDigest
    if (row.instanceId === seen.id && row.url === seen.address && row.imageDigest === imageDigest) return facts
    const noted = await this.#with.rows.observed(
      { id: row.id, instanceId: seen.id, url: seen.address, imageDigest },
      ctx.fence,
    )
    failpoint('observed')
    return interpret({ ...facts, row: noted }, ctx.now())
  }

  async #change(facts: Facts, to: Phase, event: string, reason: string, error: string | undefined, ctx: Context) {
    const change = { id: facts.row.id, from: live, to, event, reason, ...(error !== undefined && { error }) }
    return await this.#with.rows.change(change, ctx.fence)
  }

  /** Deletion: the row first, so that no late heartbeat revives it; the instance proved gone; then the finalizer. */
  async #finish(workspace: Workspace, ctx: Context): Promise<Verdict<WorkspaceStatus>> {
    const { uid } = workspace.metadata
    const { backend: name } = await this.#with.rows.remove(workspaceId(uid), uid, ctx.fence)
    failpoint('tombstoned')
    if (name !== undefined && workspace.spec.deletionPolicy === 'Delete') {
      ctx.fence.check()
      const done = await this.#erase(workspace, this.#backend(name), ctx)
      if (done !== 'gone') return describeDeleting(workspace, done.waitingFor, again(done.after, done.waitingFor))
      failpoint('erased')
    }
    await ctx.release()
    return describeDeleting(workspace, 'nothing', settled)
  }

  async #erase(workspace: Workspace, backend: Backend, ctx: Context) {
    const ref = refOf(workspace)
    const seen = await backend.observe(ref, ctx.signal)
    // A tombstone wants no hash, so whatever still exists is outdated.
    if (plan(sightOf(seen, tombstone, '', milliseconds(0), ctx.now()), 'deleted') === 'wait') {
      const cause = seen.state === 'unknown' ? ` (${seen.cause})` : ''
      return { after: seconds(15), waitingFor: `backend ${backend.name} to answer${cause}` }
    }
    const done = await backend.remove(ref, 'delete', ctx.signal)
    return done === 'gone' ? done : { after: milliseconds(500), waitingFor: 'the instance to be gone' }
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

/** Reads observation and row together; the wish depends on how long the next launch has to wait. */
function interpret(facts: Omit<Facts, 'sight' | 'wish' | 'hold'>, now: Date): Facts {
  const { desired, row } = facts
  const hash = desired.intent.specHash
  const hold = holdOf(row, hash, now)
  const running: Wish = hold > 0 ? 'holding' : 'running'
  const wish = desired.power === 'stopped' ? 'stopped' : running
  return { ...facts, hold, wish, sight: sightHere(facts, hash, now) }
}

/** An external agent is always where it is: there is nothing to launch or to take away. */
function sightHere({ desired, row, seen }: Omit<Facts, 'sight' | 'wish' | 'hold'>, hash: string, now: Date): Sight {
  if (row.backend === 'external') return desired.power === 'stopped' ? 'absent' : 'serving'
  return sightOf(seen, row, hash, desired.bootDeadline, now)
}

function outcomeOf({ waits, reason, message }: Obstacle): Outcome {
  return waits ? again(minutes(1), message) : { kind: 'blocked', reason, message }
}

/** Waits end by events; the times are what is left when an event got lost. */
function outcomeAfter(step: Step, { sight, hold, refusal, delay, desired, seen, row }: Facts, now: Date): Outcome {
  if (delay !== undefined) return again(milliseconds(Math.max(hold, delay.after)), delay.why)
  if (refusal !== undefined) return { kind: 'blocked', ...refusal }
  switch (sight) {
    case 'serving':
      return settled
    case 'booting': {
      const started = seen.state === 'running' ? now.getTime() - seen.startedAt.getTime() : 0
      return again(milliseconds(Math.max(1000, desired.bootDeadline - started)), 'the agent to register')
    }
    case 'unknown':
      return again(seconds(15), `backend ${row.backend} to answer`)
    case 'created':
    case 'starting':
    case 'stopping':
      return again(seconds(1), 'the instance')
    case 'absent':
    case 'ended':
      if (step === 'nothing') return settled
      return again(milliseconds(Math.max(hold, step === 'remove' ? 0 : 100)), 'the next launch')
    case 'outdated':
    case 'silent':
    case 'overdue':
    case 'crashed':
      return again(milliseconds(step === 'remove' ? 500 : 0), 'the old instance to be gone')
  }
}

/** The database refused the intent: nothing was written. */
function unrecorded(workspace: Workspace, recorded: Exclude<Recorded, { kind: 'recorded' }>): Verdict<WorkspaceStatus> {
  const name = workspace.spec.displayName ?? workspace.metadata.name
  switch (recorded.kind) {
    case 'parentMissing': {
      const message = `waits for the row of its parent "${workspace.spec.parentRef?.name ?? ''}"`
      const obstacle: Obstacle = { condition: 'ParentFound', reason: 'Waiting', message, waits: true }
      return describeObstacle(workspace, obstacle, again(seconds(5), `the row of the parent`))
    }
    case 'siblingTaken': {
      const { resourceName } = recorded.by
      const message = `the name "${name}" is taken among its siblings by Workspace "${resourceName}": give one of them another displayName`
      const obstacle: Obstacle = { condition: 'Recorded', reason: 'SiblingNameTaken', message, waits: false }
      return describeObstacle(workspace, obstacle, outcomeOf(obstacle))
    }
    case 'stale': {
      const message = 'the row carries a newer generation or belongs to another resource: this pass is out of date'
      const obstacle: Obstacle = { condition: 'Recorded', reason: 'OutOfDate', message, waits: true }
      return describeObstacle(workspace, obstacle, again(seconds(5), 'a newer version of this object'))
    }
  }
}
