/** Whether an instance that is outdated may be replaced now, or what its replacement waits for. Pure. */
import type { WorkspaceReason } from '../../api/reasons.ts'
import type { RuntimeSpec } from '../../api/runtime.ts'
import type { WorkspaceSpec } from '../../api/workspace.ts'
import { formatDuration, milliseconds, minutes, seconds, type Duration } from '../../duration.ts'
import type { WorkspaceRow } from '../../store/workspace-store.ts'
import { restartAsked, type HashPart } from './spec-hash.ts'

export type Turn =
  | { readonly kind: 'now' }
  /**
   * `after`: when to look again if nothing is heard before; undefined: only a change can help. `forPerson`: only a person
   * can make that change.
   */
  | {
      readonly kind: 'wait'
      readonly reason: TurnReason
      readonly message: string
      readonly after?: Duration
      readonly forPerson?: boolean
    }

export type TurnReason = WorkspaceReason &
  (
    | 'WaitsForIdle'
    | 'WaitsForRestart'
    | 'WaitsForCanaries'
    | 'WaitsForOthers'
    | 'TemplateUnknown'
    | 'ImageUnavailable'
    | 'ModelUnknown'
  )

export interface Circumstances {
  readonly changed: ReadonlySet<HashPart>
  readonly spec: Pick<WorkspaceSpec, 'updateStrategy' | 'updateRing'>
  readonly rollout: RuntimeSpec['rollout']
  readonly row: Pick<WorkspaceRow, 'activeTasks' | 'wantedSince' | 'registeredAt' | 'template' | 'status'>
  /** What the canaries of the runtime say of the image that is wanted. */
  readonly canaries: CanaryVerdict
  readonly now: Date
}

export type CanaryVerdict =
  | { readonly kind: 'good' }
  /** Those that do not run it well yet: `names` in the namespace, and how many in others. */
  | { readonly kind: 'unproved'; readonly names: readonly string[]; readonly elsewhere: number }
  /** All do, since less than the soak. */
  | { readonly kind: 'soaking'; readonly left: Duration }

/** A task may hold up a replacement this long, and no longer. */
export const patience = minutes(30)

/** In the order of what a person would ask first: may it be told at all, was it asked for, is it its turn, is it idle. */
export function turnOf({ changed, spec, rollout, row, canaries, now }: Circumstances): Turn {
  if (row.template === undefined)
    return {
      kind: 'wait',
      reason: 'TemplateUnknown',
      message: 'nobody knows from which template it was made: name it in spec.template.ref',
      forPerson: true,
    }
  // Asked for by name; or nothing is lost, since no agent ever came up.
  if (restartAsked(changed) || row.registeredAt === undefined || row.status === 'offline') return { kind: 'now' }
  const byImageAlone = changed.size === 1 && changed.has('image')
  if (spec.updateStrategy === 'OnRestart' || (byImageAlone && rollout === 'OnRestart'))
    return {
      kind: 'wait',
      reason: 'WaitsForRestart',
      message: 'it is replaced at its next restart: annotate it with molecule.dev/restarted-at',
    }
  if (changed.has('image') && spec.updateRing === 'production' && canaries.kind !== 'good') {
    const [message, after] =
      canaries.kind === 'soaking'
        ? ['the canaries run the new image well, but not for long enough yet', canaries.left]
        : [`the canaries come first: ${listed(canaries)}`, seconds(30)]
    return { kind: 'wait', reason: 'WaitsForCanaries', message, after }
  }
  // An hour lost by a clock that was set must not cost a task: the wait is counted from now on at most.
  const waited = Math.max(0, now.getTime() - row.wantedSince.getTime())
  if (spec.updateStrategy === 'WhenIdle' && row.activeTasks > 0 && waited < patience)
    return {
      kind: 'wait',
      reason: 'WaitsForIdle',
      message: `the agent is at work; it is replaced when idle, at the latest ${formatDuration(patience)} after the change`,
      after: milliseconds(Math.min(seconds(10), patience - waited)),
    }
  return { kind: 'now' }
}

/** Objects of other namespaces are counted and not named: who reads this may not know of them. */
function listed({ names, elsewhere }: Extract<CanaryVerdict, { kind: 'unproved' }>): string {
  const shown = names.slice(0, 5).join(', ')
  const more = [
    ...(names.length > 5 ? [`${names.length - 5} more`] : []),
    ...(elsewhere > 0 ? [`${elsewhere} in other namespaces`] : []),
  ]
  return [...(shown === '' ? [] : [shown]), ...more].join(' and ')
}
