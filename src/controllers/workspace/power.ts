/** Whether a workspace is to run, all considered: its spec, its lifetime, its ancestors. Pure. */
import type { Workspace } from '../../api/workspace.ts'
import { milliseconds, minutes, parseDuration, type Duration } from '../../duration.ts'

export type Power =
  | { readonly state: 'Running' }
  | {
      readonly state: 'Paused'
      readonly reason: 'AsAsked' | 'Expired' | 'AncestorPaused'
      /** The ancestor that caused it. */
      readonly by?: string
    }

export interface PowerVerdict {
  readonly power: Power
  /** The parent has not been resumed yet: a child follows it, top-down. */
  readonly awaitsParent: boolean
  /** Its own end, where one is set. */
  readonly end: { readonly at: Date; readonly action: 'Pause' | 'Delete'; readonly over: boolean } | undefined
  /** When time alone may change this verdict; undefined: never. */
  readonly lookAgainIn: Duration | undefined
}

/** A chain longer than this is a cycle, which its members report. */
const deepest = 64
/** How far ahead an end is announced. */
export const notice = minutes(60)

/** When its lifetime ends. Throws nothing: an unreadable time was refused by the schema, or never ends. */
export function endOf({ spec, metadata }: Workspace): Date | undefined {
  const { expiresAt, expiresAfter } = spec.lifetime ?? {}
  const at =
    expiresAt !== undefined
      ? Date.parse(expiresAt)
      : expiresAfter !== undefined
        ? Date.parse(metadata.creationTimestamp) + parseDuration(expiresAfter)
        : Number.NaN
  return Number.isNaN(at) ? undefined : new Date(at)
}

const ownPower = (ws: Workspace, now: Date): Power => {
  if (ws.spec.power === 'Paused') return { state: 'Paused', reason: 'AsAsked' }
  const end = ws.spec.lifetime?.action === 'Pause' ? endOf(ws) : undefined
  return end !== undefined && end <= now ? { state: 'Paused', reason: 'Expired' } : { state: 'Running' }
}

/** `isPaused`: whether the last pass of another left it paused. */
export function powerOf(
  workspace: Workspace,
  sibling: (name: string) => Workspace | undefined,
  isPaused: (workspace: Workspace) => boolean,
  now: Date,
): PowerVerdict {
  const moments: number[] = []
  const note = (ws: Workspace) => {
    const end = endOf(ws)?.getTime()
    if (end === undefined) return
    moments.push(end)
    if (ws === workspace) moments.push(end - notice)
  }
  note(workspace)
  let power = ownPower(workspace, now)
  const parent = workspace.spec.parentRef && sibling(workspace.spec.parentRef.name)
  for (let above = parent, depth = 0; above !== undefined && depth < deepest; depth++) {
    note(above)
    if (power.state === 'Running' && ownPower(above, now).state === 'Paused')
      power = { state: 'Paused', reason: 'AncestorPaused', by: above.metadata.name }
    above = above.spec.parentRef && sibling(above.spec.parentRef.name)
  }
  const at = endOf(workspace)
  const next = Math.min(...moments.filter((moment) => moment > now.getTime()))
  return {
    power,
    awaitsParent: power.state === 'Running' && parent !== undefined && isPaused(parent),
    end: at && { at, action: workspace.spec.lifetime?.action ?? 'Pause', over: at <= now },
    lookAgainIn: Number.isFinite(next) ? milliseconds(next - now.getTime()) : undefined,
  }
}
