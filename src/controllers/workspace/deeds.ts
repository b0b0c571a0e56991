/** What a pass does: the one step, recorded as it happens. Each may be cut off anywhere; the next pass begins with a look. */
import { keyOf } from '../../api/meta.ts'
import type { WorkspaceReason } from '../../api/reasons.ts'
import type { Workspace } from '../../api/workspace.ts'
import type { Backend, Observation, SessionReset } from '../../backends/backend.ts'
import { milliseconds, minutes } from '../../duration.ts'
import { Fenced, reasonOf, RetryAfter, Terminal } from '../../errors.ts'
import { failpoint } from '../../failpoint.ts'
import type { Context } from '../../kube/reconciler.ts'
import {
  phases,
  type Failure,
  type Phase,
  type PhaseChange,
  type RowKey,
  type WorkspaceRow,
  type WorkspaceStore,
} from '../../store/workspace-store.ts'
import { provlog } from '../../telemetry/provlog.ts'
import { oneLine, tail } from '../../text.ts'
import { failureText } from '../../why.ts'
import { discreet, type PassBackend } from './discreet-backend.ts'
import type { Facts } from './judge.ts'
import { hashOf, type Sight, type Step } from './plan.ts'
import { ownerOf, refOf } from './resolve.ts'
import type { Rollout } from './rollout.ts'
import { digestOf, groupOf, type Look } from './sense.ts'
import { changedParts, resetAsked } from './spec-hash.ts'
import { mintInboundSecret, mintToken } from './token.ts'

/** Of the last output; twice as much is read, so that no secret is cut where what is shown begins. */
const mostShown = 8192

const live: readonly Phase[] = phases.filter((phase) => phase !== 'removed')

export interface DeedCollaborators {
  readonly rows: WorkspaceStore
  /** Throws `Terminal` for a backend that this operator does not have. */
  readonly backend: (name: string) => Backend
  readonly rollout: Rollout
  /** Reads facts anew after one of them changed. */
  readonly read: (look: Look, ctx: Context) => Facts
  /** Told of what a launch gave. */
  readonly began: (uid: string, seen: Observation) => void
}

export class Deeds {
  readonly #with: DeedCollaborators

  constructor(collaborators: DeedCollaborators) {
    this.#with = collaborators
  }

  /** Does the one step, records what came of it, and gives the facts as they are then. */
  async act(step: Step, facts: Facts, ctx: Context): Promise<Facts> {
    ctx.fence.check()
    switch (step) {
      case 'launch':
        return await this.#launch(facts, ctx)
      case 'fail':
        return await this.#fail(facts, ctx)
      case 'replace':
        return await this.#replace(facts, ctx)
      case 'remove':
        return await this.#remove(facts, ctx)
      case 'nothing':
        return facts.wish === 'stopped' || facts.wish === 'asleep'
          ? await this.#rest(facts, ctx)
          : await this.#note(facts, ctx)
      case 'wait':
        return await this.#note(facts, ctx)
      case 'erase':
        throw new Error('erase is planned for a deletion alone')
    }
  }

  /**
   * Stops what runs with nothing but the row to go by. Undefined where there never was one. Throws `RetryAfter` until it
   * is proved gone.
   */
  async halt(workspace: Workspace, ctx: Context): Promise<WorkspaceRow | undefined> {
    const owner = ownerOf(workspace)
    const found = await this.#with.rows.find(owner)
    if (found === undefined) return undefined
    const change = { to: 'paused', event: 'WORKSPACE_PAUSED', reason: 'Paused' } as const
    const row = await this.#with.rows.change({ ...owner, id: found.id, from: live, ...change }, ctx.fence)
    ctx.fence.check()
    const done = await this.#with
      .backend(row.backend)
      .remove(refOf(workspace), 'keep', ctx.signal, () => ctx.fence.check())
    if (done !== 'gone') throw new RetryAfter(milliseconds(500), 'the instance to be gone')
    return row
  }

  async #launch(facts: Facts, ctx: Context): Promise<Facts> {
    const { desired, row, workspace } = facts
    const { specHash } = desired.intent
    // To wait for an image is no failure, and must not be counted and backed off as one. The first launch tries at once.
    const delay = row.launchAttempts > 0 ? await this.#pull(facts, ctx) : undefined
    if (delay !== undefined) return { ...facts, delay }
    if (resetAsked(row.launchedHash, specHash)) {
      // One that was made and never started holds what is to be emptied.
      if (facts.seen.state !== 'absent') return await this.#remove(facts, ctx)
      ctx.fence.check()
      const done = await this.#resetSessions(facts, ctx)
      if (typeof done === 'object') return { ...facts, delay: done }
      if (done === 'emptied' && desired.noSessions === undefined)
        ctx.event('Normal', 'SessionsReset', 'its sessions were emptied, as molecule.dev/reset-session-at asks')
    }
    const token = mintToken()
    // An external agent was given nothing to know us by, and an operator of external agents alone needs no key.
    const inboundSecret = row.backend === 'external' ? undefined : mintInboundSecret()
    const launched = await this.#with.rows.launch(
      {
        ...ownerOf(workspace),
        id: row.id,
        specHash,
        tokenHash: token.hash,
        tokenPrefix: token.prefix,
        inboundSecret,
        variables: Object.keys(desired.instance.env).sort(),
        at: ctx.now(),
        reconcileId: ctx.reconcileId,
      },
      ctx.fence,
    )
    failpoint('launching')
    ctx.fence.check()
    this.#announce(facts, ctx)
    const wanted = { ...desired.instance, token: token.text, inboundSecret }
    let seen: Observation
    try {
      seen = await this.#backend(facts).ensure(wanted, ctx.signal, () => ctx.fence.check())
      failpoint('ensured')
    } catch (error) {
      const begun = await this.#begunAllTheSame(facts, error, ctx)
      if (begun === undefined) return await this.#notLaunched({ ...facts, row: launched }, error, ctx)
      seen = begun
    }
    this.#with.began(workspace.metadata.uid, seen)
    return await this.#note(this.#with.read({ ...facts, row: launched, seen }, ctx), ctx)
  }

  /**
   * The instance that was launched although its backend said otherwise: the answer to the call may have been lost, not the
   * call. One that cannot be looked at may be there: the error then ends the pass, and the next pass looks.
   */
  async #begunAllTheSame(facts: Facts, error: unknown, ctx: Context): Promise<Observation | undefined> {
    if (error instanceof RetryAfter || error instanceof Terminal || error instanceof Fenced || ctx.signal.aborted)
      return undefined
    const { intent, instance } = facts.desired
    const seen = await this.#backend(facts)
      .observe(instance.ref, ctx.signal)
      .catch(() => undefined)
    if (seen === undefined || seen.state === 'unknown') throw error
    const begun = seen.state === 'starting' || seen.state === 'running'
    return begun && seen.specHash === intent.specHash ? seen : undefined
  }

  /**
   * What the backend said is recorded, whatever it was: the row counts the launches in a row that failed, over passes and
   * restarts of the operator, and people read why the first one did.
   */
  async #notLaunched(facts: Facts, error: unknown, ctx: Context): Promise<Facts> {
    if (error instanceof RetryAfter) return { ...this.#with.read(facts, ctx), delay: delayOf(error) }
    if (error instanceof Fenced || ctx.signal.aborted) throw error
    const refused = error instanceof Terminal
    const reason = refused ? error.reason : 'LaunchFailed'
    const message = reasonOf(error)
    // The same refusal again is no news, and since when it holds stays.
    const { lastFailure: last, lastError } = facts.row
    const again = refused && last?.refused === true && last.reason === reason && lastError === message
    const at = again ? last.at : ctx.now()
    const failure: Failure = { reason, exitCode: undefined, at, logTail: '', ...(refused && { refused }) }
    const failed = await this.#change(
      facts,
      { to: 'failed', event: 'WORKSPACE_PROVISION_FAILED', reason, error: message, failure },
      ctx,
    )
    // A refusal becomes an event with the condition Stalled.
    if (!refused) {
      ctx.log.error({ err: error, attempt: failed.launchAttempts }, 'launch failed')
      ctx.event('Warning', reason, message)
    }
    return this.#with.read({ ...facts, row: failed }, ctx)
  }

  /** The delay says what it waits for, where something else still uses them. */
  async #resetSessions(facts: Facts, ctx: Context): Promise<SessionReset | NonNullable<Facts['delay']>> {
    try {
      return await this.#backend(facts).resetSessions(facts.desired.instance, ctx.signal, () => ctx.fence.check())
    } catch (error) {
      if (error instanceof RetryAfter) return delayOf(error)
      throw error
    }
  }

  /** What an image that is on its way is waited for; one that cannot be had at all is told of by the launch. */
  async #pull(facts: Facts, ctx: Context): Promise<Facts['delay']> {
    try {
      await this.#backend(facts).prepare(facts.desired.instance, ctx.signal)
      return undefined
    } catch (error) {
      if (error instanceof RetryAfter) return { after: error.after, why: error.message }
      if (error instanceof Terminal) return undefined
      throw error
    }
  }

  #announce({ desired: { intent }, row }: Facts, ctx: Context): void {
    provlog(ctx.log, 'provision.start', {
      workspace_id: row.id,
      name: intent.displayName,
      tier: intent.tier,
      runtime: intent.runtime,
      template: intent.template,
      sync: false,
      reconcile_id: ctx.reconcileId,
    })
  }

  /** Says why it ended, with its last words, before anything is taken away. */
  async #fail(facts: Facts, ctx: Context): Promise<Facts> {
    const { desired, row, seen, sight } = facts
    const log = await this.#backend(facts).logs(desired.instance.ref, 2 * mostShown, ctx.signal)
    const logTail = tail(log.replaceAll(/^\n+|\n+$/g, ''), mostShown)
    const { registrationRefusal: refusal } = row
    const refused = refusal && `its registration was refused: ${oneLine(desired.redact(refusal))}`
    const stuck =
      sight === 'stuck'
        ? `it says it is at work, but no message has come or gone for ${desired.runtime?.restartBusyAfter ?? 'long'}`
        : undefined
    const what = seen.state === 'exited' ? seen.detail : (stuck ?? refused ?? 'it is running, but silent')
    const error = failureText(what, logTail)
    const reason = failureReasons[sight] ?? 'BootDeadlineExceeded'
    const failure: Failure = {
      reason,
      exitCode: seen.state === 'exited' ? seen.exitCode : undefined,
      at: ctx.now(),
      logTail,
    }
    const served = row.registeredAt !== undefined && sight !== 'mute' && sight !== 'stuck'
    const failed = await this.#change(
      facts,
      served
        ? { to: 'offline', event: 'WORKSPACE_OFFLINE', reason, error, failure }
        : { to: 'failed', event: 'WORKSPACE_PROVISION_FAILED', reason, error, failure },
      ctx,
    )
    failpoint('failed')
    ctx.event('Warning', reason, error)
    return this.#with.read({ ...facts, row: failed }, ctx)
  }

  /** Takes away what serves, once it is sure that what follows can start. */
  async #replace(facts: Facts, ctx: Context): Promise<Facts> {
    const { desired, row, seen, workspace } = facts
    const changed = changedParts(seen.state === 'running' ? hashOf(seen.specHash, row) : '', desired.intent.specHash)
    try {
      if (changed.has('image')) await this.#backend(facts).prepare(desired.instance, ctx.signal)
    } catch (error) {
      const after = error instanceof RetryAfter ? error.after : minutes(1)
      if (!(error instanceof RetryAfter || error instanceof Terminal)) throw error
      this.#with.rollout.leave(groupOf(desired.intent), keyOf(workspace))
      return {
        ...facts,
        wish: 'keeping',
        turn: {
          kind: 'wait',
          reason: 'ImageUnavailable',
          message: error.message,
          after,
          forPerson: error instanceof Terminal,
        },
      }
    }
    failpoint('prepared')
    return await this.#remove(facts, ctx)
  }

  async #remove(facts: Facts, ctx: Context): Promise<Facts> {
    const { desired, row } = facts
    if (facts.wish !== 'stopped' && facts.wish !== 'asleep' && facts.sight !== 'stopping')
      provlog(ctx.log, 'restart.pre_stop', {
        workspace_id: row.id,
        backend: lifecycleName(row.backend),
        reconcile_id: ctx.reconcileId,
      })
    const { ref } = desired.instance
    const done = await this.#backend(facts).remove(ref, 'keep', ctx.signal, () => ctx.fence.check())
    failpoint('removed')
    if (done !== 'gone') return this.#with.read(facts, ctx)
    const after = this.#with.read({ ...facts, seen: { state: 'absent' } }, ctx)
    return after.wish === 'stopped' || after.wish === 'asleep' ? await this.#rest(after, ctx) : after
  }

  /** Paused or asleep, and nothing is there any more. */
  async #rest(facts: Facts, ctx: Context): Promise<Facts> {
    const [to, event] =
      facts.wish === 'asleep'
        ? (['hibernated', 'WORKSPACE_HIBERNATED'] as const)
        : (['paused', 'WORKSPACE_PAUSED'] as const)
    if (facts.row.status === to) return facts
    const row = await this.#change(facts, { to, event, reason: to === 'paused' ? 'Paused' : 'Idle' }, ctx)
    failpoint('rested')
    return this.#with.read({ ...facts, row }, ctx)
  }

  /** Records the facts of a running instance where the row does not have them yet. */
  async #note(facts: Facts, ctx: Context): Promise<Facts> {
    const { seen, workspace } = facts
    const back = resumed(facts)
    if (back !== undefined) {
      const row = await this.#change(facts, { ...back, reason: 'Resumed' }, ctx)
      return await this.#note(this.#with.read({ ...facts, row }, ctx), ctx)
    }
    const { row } = facts
    if (seen.state !== 'running') return facts
    const [url, imageDigest] = [seen.address, digestOf(seen)]
    if (row.instanceId === seen.id && row.url === url && row.imageDigest === imageDigest) return facts
    const noted = await this.#with.rows.observed(
      { ...ownerOf(workspace), id: row.id, instanceId: seen.id, url, imageDigest },
      ctx.fence,
    )
    failpoint('observed')
    return this.#with.read({ ...facts, row: noted }, ctx)
  }

  #backend({ row, desired }: Facts): PassBackend {
    return discreet(this.#with.backend(row.backend), desired.redact)
  }

  async #change(facts: Facts, change: Omit<PhaseChange, keyof RowKey | 'from'>, ctx: Context): Promise<WorkspaceRow> {
    const { reconcileId } = ctx
    return await this.#with.rows.change(
      { ...ownerOf(facts.workspace), id: facts.row.id, from: live, reconcileId, ...change },
      ctx.fence,
    )
  }
}

const failureReasons: Partial<Record<Sight, WorkspaceReason>> = {
  mute: 'HeartbeatLost',
  stuck: 'NoProgress',
  crashed: 'InstanceExited',
}

/** A wait that a person can end says so by its reason; every other is part of a start. */
const delayOf = ({ after, message: why, reason }: RetryAfter): NonNullable<Facts['delay']> => ({
  after,
  why,
  ...(reason === 'NetworkPoolExhausted' && { reason }),
})

/** What a row that says `paused` becomes where an agent runs and is meant to: nothing asks for that pause any more. */
function resumed({ row, sight, wish }: Facts): Pick<PhaseChange, 'to' | 'event'> | undefined {
  if (row.status !== 'paused' || wish === 'stopped' || wish === 'asleep') return undefined
  if (row.backend === 'external') return { to: 'awaiting_agent', event: 'WORKSPACE_AWAITING_AGENT' }
  switch (sight) {
    case 'serving':
    case 'outdated':
      return row.registeredAt === undefined ? provisioning : { to: 'online', event: 'WORKSPACE_ONLINE' }
    case 'booting':
    case 'starting':
      return provisioning
    default:
      return undefined
  }
}
const provisioning = { to: 'provisioning', event: 'WORKSPACE_PROVISIONING' } as const

/** The backend as the lines of provisioning have always named it. */
function lifecycleName(backend: string): 'docker' | 'cp' | 'none' | 'process' | 'fake' {
  switch (backend) {
    case 'docker':
    case 'process':
    case 'fake':
      return backend
    case 'ec2':
      return 'cp'
    default:
      return 'none'
  }
}
