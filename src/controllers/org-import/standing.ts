/**
 * How the Workspace of a node stands, as the last pass of this leader found it, and what that means for Provisioned and
 * Ready of its import. Pure. The table of docs/spec/org-import.md is printed from this one (checked).
 */
import type { OrgImportReason } from '../../api/reasons.ts'
import type { Workspace, WorkspaceStatus } from '../../api/workspace.ts'
import type { PassResult } from '../fleet.ts'

type Phase = NonNullable<WorkspaceStatus['phase']>

/** What is found of a node: the phase of one that is not Ready, or what goes before that. */
export type Found = Phase | 'ready' | 'absent' | 'deleting' | 'unseen' | 'unrecorded' | 'suspended' | 'stalled'

/**
 *   ready      all is as asked
 *   away       it came up and is not there now
 *   coming     it has not come up yet, and may by itself
 *   failed     it failed, and is tried again
 *   suspended  nothing is done for it until a person lets the operator go on
 *   stalled    a person has to mend it
 */
export type StandingState = 'ready' | 'away' | 'coming' | 'failed' | 'suspended' | 'stalled'

export interface Effect {
  /** Of the import, unless another node stands worse. `undefined`: True. */
  readonly provisioned: { readonly status: 'False' | 'Unknown'; readonly reason: OrgImportReason } | undefined
  readonly ready: OrgImportReason | undefined
  /** Which of the two the import is while it is not Ready. */
  readonly progress: 'Reconciling' | 'Stalled' | undefined
}

/** From the best to the worst: of several nodes the worst decides. */
export const effects = {
  ready: { provisioned: undefined, ready: undefined, progress: undefined },
  away: { provisioned: undefined, ready: 'NodeNotReady', progress: 'Reconciling' },
  coming: { provisioned: { status: 'False', reason: 'Provisioning' }, ready: 'Provisioning', progress: 'Reconciling' },
  failed: { provisioned: { status: 'False', reason: 'NodeFailed' }, ready: 'NodeFailed', progress: 'Reconciling' },
  suspended: {
    provisioned: { status: 'Unknown', reason: 'NodeSuspended' },
    ready: 'NodeSuspended',
    progress: 'Stalled',
  },
  stalled: { provisioned: { status: 'False', reason: 'NodeFailed' }, ready: 'NodeFailed', progress: 'Stalled' },
} as const satisfies Record<StandingState, Effect>

/** Total by construction: the compiler refuses a phase that is missing. `is`: for the page. */
export const standings = {
  ready: { state: 'ready', is: 'Ready: online, paused, asleep, past its lifetime' },
  hibernating: { state: 'ready', is: 'falls asleep: it wakes on a message or a schedule' },
  online: { state: 'away', is: 'was online: its instance is being replaced, or its backend does not answer' },
  degraded: { state: 'away', is: 'its agent beats, but fails' },
  offline: { state: 'away', is: 'its agent has fallen silent' },
  paused: { state: 'away', is: 'is being paused, or resumed' },
  hibernated: { state: 'away', is: 'is being woken' },
  absent: { state: 'coming', is: 'does not exist yet' },
  unseen: { state: 'coming', is: 'was not looked at since it was made or changed' },
  unrecorded: { state: 'coming', is: 'has no row yet: it waits, for its parent mostly' },
  provisioning: { state: 'coming', is: 'its instance starts, or its agent has yet to register' },
  awaiting_agent: { state: 'coming', is: 'its agent is external: it has not registered yet, or has fallen silent' },
  deleting: { state: 'coming', is: 'is being deleted, and is made again once it is gone' },
  removed: { state: 'coming', is: 'its row is removed' },
  failed: { state: 'failed', is: 'crashed, or its agent did not come in time: it is tried again after a wait' },
  suspended: { state: 'suspended', is: '`spec.suspend` is true' },
  stalled: {
    state: 'stalled',
    is: 'Stalled: its runtime or model is unknown, a Secret is missing, it exceeds a quota',
  },
} as const satisfies Record<Found, { readonly state: StandingState; readonly is: string }>

export interface Standing {
  readonly found: Found
  readonly state: StandingState
  /** Why it is not ready. */
  readonly reason: string
  readonly message: string
  readonly phase: Phase | undefined
}

/** Of the Workspace as the cache has it; `result`: of its last pass, whatever its status says. */
export function standing(live: Workspace | undefined, result: PassResult | undefined): Standing {
  const found = foundOf(live, result)
  const { state } = standings[found]
  const { reason, message } = wordsOf(found, result)
  return { found, state, reason, message, phase: found === 'absent' ? undefined : result?.phase }
}

function foundOf(live: Workspace | undefined, result: PassResult | undefined): Found {
  if (live === undefined) return 'absent'
  if (live.metadata.deletionTimestamp !== undefined) return 'deleting'
  if (live.spec.suspend) return 'suspended'
  if (result === undefined || result.generation !== live.metadata.generation) return 'unseen'
  if (result.ready) return 'ready'
  if (result.unready?.blocked === true) return 'stalled'
  return result.phase ?? 'unrecorded'
}

function wordsOf(found: Found, result: PassResult | undefined): { readonly reason: string; readonly message: string } {
  switch (found) {
    case 'absent':
      return { reason: 'Progressing', message: 'does not exist yet' }
    case 'deleting':
      return { reason: 'Deleting', message: 'is being deleted' }
    case 'unseen':
      return { reason: 'Progressing', message: 'not looked at yet' }
    case 'suspended':
      return { reason: 'Suspended', message: 'spec.suspend is true: nothing is done for it' }
    default:
      return result?.unready ?? { reason: 'Progressing', message: '' }
  }
}

/** Whether an import shows the same of both. */
export const alike = (a: PassResult | undefined, b: PassResult | undefined): boolean =>
  a?.generation === b?.generation &&
  a?.phase === b?.phase &&
  a?.ready === b?.ready &&
  a?.unready?.reason === b?.unready?.reason &&
  a?.unready?.message === b?.unready?.message &&
  a?.unready?.blocked === b?.unready?.blocked &&
  a?.parts?.schedules === b?.parts?.schedules &&
  a?.parts?.channels === b?.parts?.channels
