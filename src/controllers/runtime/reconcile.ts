/** The way of one Runtime. It owns nothing outside the cluster: it resolves, counts, and outlives its users. */
import type { RuntimeCondition, RuntimeReason } from '../../api/reasons.ts'
import type { Runtime, RuntimeStatus } from '../../api/runtime.ts'
import { minutes } from '../../duration.ts'
import type { ConditionDraft, Context, Outcome, Reconciler, Verdict } from '../../kube/reconciler.ts'
import { plural } from '../../text.ts'
import { hasVerdict, untilRead } from '../unread.ts'

/** What uses a Runtime. It is counted and not named: a Runtime is read in every namespace. */
export interface Usage {
  /** Workspaces, whether or not anything of them runs. */
  readonly users: number
  /** Instances that run its image. */
  readonly current: number
  /** Those that run an older one. */
  readonly stale: number
  /** Of some that ask for it and are not being deleted, no pass of this leader has come to an end. */
  readonly unseen: boolean
  /** Of some that ask for it, no pass of this leader has read the row: they may use it. */
  readonly unknown: boolean
}

const countsOf = ({ current, stale }: Usage) => ({ current, stale })

export interface RuntimeCollaborators {
  readonly usage: (runtime: Runtime) => Usage
  /** Names of all Runtimes that say they are the default. */
  readonly defaults: () => readonly string[]
}

/** One Workspace whose pass does not end keeps a Runtime from being counted for this long, and no longer. */
const patience = minutes(2)

export class RuntimeReconciler implements Reconciler<Runtime> {
  readonly #with: RuntimeCollaborators
  /** By uid, on the monotonic clock: when this leader first had to wait for passes of those that ask for it. */
  readonly #waitsSince = new Map<string, number>()

  constructor(collaborators: RuntimeCollaborators) {
    this.#with = collaborators
  }

  async reconcile(runtime: Runtime, ctx: Context): Promise<Verdict<RuntimeStatus>> {
    const usage = this.#with.usage(runtime)
    const { users } = usage
    if (runtime.metadata.deletionTimestamp !== undefined) {
      // Like a volume in use: taking the image away from under its workspaces would stall every one of them.
      if (users > 0 || usage.unknown) return inUse(usage)
      await ctx.release()
      this.#waitsSince.delete(runtime.metadata.uid)
      return describe(runtime, usage, [], { kind: 'settled' })
    }
    if (runtime.spec.suspend) return describe(runtime, usage, [], { kind: 'settled' })
    await ctx.claim()
    const rivals = runtime.spec.default ? this.#with.defaults().filter((name) => name !== runtime.metadata.name) : []
    if (this.#mayWait(runtime, usage)) throw untilRead('the workspaces that ask for it to be looked at')
    if (rivals.length === 0) return describe(runtime, usage, rivals, { kind: 'settled' })
    const message = `"${rivals.join('", "')}" is the default Runtime too: set spec.default to false on all but one`
    return describe(runtime, usage, rivals, { kind: 'blocked', reason: 'AmbiguousDefaultRuntime', message })
  }

  /** After a start the counts rise with each pass of a Workspace: what the status says is truer until all have passed. */
  #mayWait(runtime: Runtime, { unseen }: Usage): boolean {
    if (!unseen || !hasVerdict(runtime)) return false
    const { uid } = runtime.metadata
    const since = this.#waitsSince.get(uid) ?? performance.now()
    this.#waitsSince.set(uid, since)
    return performance.now() - since < patience
  }
}

/** A condition of this kind, and no other. */
type Draft = ConditionDraft & { readonly type: RuntimeCondition; readonly reason: RuntimeReason }

function describe(runtime: Runtime, usage: Usage, rivals: readonly string[], outcome: Outcome): Verdict<RuntimeStatus> {
  const { spec } = runtime
  const digest = spec.digest ?? /@(sha256:[0-9a-f]{64})$/.exec(spec.image)?.[1]
  const { users, current, stale } = usage
  const older = stale === 0 ? '' : `, ${stale} of them an older image`
  const used = `used by ${plural(users, 'workspace')}, of which ${current + stale} run${older}`
  const summary = spec.suspend
    ? 'Suspended: spec.suspend is true'
    : `Resolved to ${digest === undefined ? spec.image : digest.slice(0, 19)}; ${users === 0 ? 'used by none' : used}`
  const conditions: Draft[] = [
    spec.suspend
      ? { type: 'Ready', status: 'True', reason: 'Suspended', message: summary }
      : {
          type: 'Ready',
          status: rivals.length === 0 ? 'True' : 'False',
          reason: 'Resolved',
          message: `image ${spec.image}`,
        },
    {
      type: 'Resolved',
      status: 'True',
      reason: 'Resolved',
      message: digest ?? `${spec.image}, not pinned by a digest`,
    },
  ]
  if (current + stale > 0) conditions.push(imageCondition(usage))
  return {
    status: {
      ...(digest !== undefined && { resolvedDigest: digest }),
      workspaces: countsOf(usage),
      summary: outcome.kind === 'blocked' ? `Stalled: ${outcome.message}` : summary,
      conditions,
      transition: { to: spec.suspend ? 'suspended' : 'resolved', reason: 'Resolved', actor: 'user' },
    },
    outcome,
  }
}

function imageCondition({ current, stale }: Usage): Draft {
  if (stale === 0)
    return {
      type: 'ImageCurrent',
      status: 'True',
      reason: 'ImageCurrent',
      message: `${plural(current, 'instance')} run this image, and none another`,
    }
  const message = `${stale} of ${plural(current + stale, 'instance')} run another image: see ImageCurrent of each Workspace`
  return { type: 'ImageCurrent', status: 'False', reason: 'ImageStale', message }
}

function inUse(usage: Usage): Verdict<RuntimeStatus> {
  const { users } = usage
  const message =
    users === 0
      ? 'Deleting: waits for a look at the workspaces that ask for it'
      : `Deleting: waits for ${plural(users, 'workspace')} that still use${users === 1 ? 's' : ''} it`
  return {
    status: {
      workspaces: countsOf(usage),
      summary: message,
      conditions: [{ type: 'Ready', status: 'False', reason: 'InUse', message }],
      transition: { to: 'deleting', reason: 'InUse', actor: 'user' },
    },
    outcome: { kind: 'again', after: minutes(5), waitingFor: 'its workspaces to go' },
  }
}
