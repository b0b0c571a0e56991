/** The way of one Runtime. It owns nothing outside the cluster: it resolves, counts, and outlives its users. */
import type { RuntimeCondition, RuntimeReason } from '../../api/reasons.ts'
import type { Runtime, RuntimeStatus } from '../../api/runtime.ts'
import { minutes } from '../../duration.ts'
import type { ConditionDraft, Context, Outcome, Reconciler, Verdict } from '../../kube/reconciler.ts'

/** How many Workspaces use a Runtime. They are counted and not named: a Runtime is read in every namespace. */
export interface Usage {
  readonly current: number
  /** Those that run an older image. */
  readonly stale: number
  /** Some that ask for it have not been looked at by this leader. */
  readonly unknown: boolean
}

const countsOf = ({ current, stale }: Usage) => ({ current, stale })
const usersOf = ({ current, stale }: Usage) => current + stale

export interface RuntimeCollaborators {
  readonly usage: (runtime: Runtime) => Usage
  /** Names of all Runtimes that say they are the default. */
  readonly defaults: () => readonly string[]
}

export class RuntimeReconciler implements Reconciler<Runtime> {
  readonly #with: RuntimeCollaborators

  constructor(collaborators: RuntimeCollaborators) {
    this.#with = collaborators
  }

  async reconcile(runtime: Runtime, ctx: Context): Promise<Verdict<RuntimeStatus>> {
    const usage = this.#with.usage(runtime)
    const users = usersOf(usage)
    if (runtime.metadata.deletionTimestamp !== undefined) {
      // Like a volume in use: taking the image away from under its workspaces would stall every one of them.
      if (users > 0 || usage.unknown) return inUse(usage)
      await ctx.release()
      return describe(runtime, usage, [], { kind: 'settled' })
    }
    if (runtime.spec.suspend) return describe(runtime, usage, [], { kind: 'settled' })
    await ctx.claim()
    const rivals = runtime.spec.default ? this.#with.defaults().filter((name) => name !== runtime.metadata.name) : []
    if (rivals.length === 0) return describe(runtime, usage, rivals, { kind: 'settled' })
    const message = `"${rivals.join('", "')}" is the default Runtime too: set spec.default to false on all but one`
    return describe(runtime, usage, rivals, { kind: 'blocked', reason: 'AmbiguousDefaultRuntime', message })
  }
}

/** A condition of this kind, and no other. */
type Draft = ConditionDraft & { readonly type: RuntimeCondition; readonly reason: RuntimeReason }

function describe(runtime: Runtime, usage: Usage, rivals: readonly string[], outcome: Outcome): Verdict<RuntimeStatus> {
  const { spec } = runtime
  const digest = spec.digest ?? /@(sha256:[0-9a-f]{64})$/.exec(spec.image)?.[1]
  const users = usersOf(usage)
  const stale = usage.stale === 0 ? '' : `, ${usage.stale} of them with an older image`
  const summary = spec.suspend
    ? 'Suspended: spec.suspend is true'
    : `Resolved to ${digest === undefined ? spec.image : digest.slice(0, 19)}; used by ${users}${stale}`
  const conditions: Draft[] = [
    spec.suspend
      ? { type: 'Ready', status: 'Unknown', reason: 'Suspended', message: summary }
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
  if (users > 0) conditions.push(imageCondition(usage))
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
      message: `no workspace of ${current} runs another image`,
    }
  const message = `${stale} of ${current + stale} workspaces run another image: see ImageCurrent of each`
  return { type: 'ImageCurrent', status: 'False', reason: 'ImageStale', message }
}

function inUse(usage: Usage): Verdict<RuntimeStatus> {
  const users = usersOf(usage)
  const message =
    users === 0
      ? 'Deleting: waits for a look at the workspaces that ask for it'
      : `Deleting: waits for ${users} workspace${users === 1 ? '' : 's'} that still use${users === 1 ? 's' : ''} it`
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
