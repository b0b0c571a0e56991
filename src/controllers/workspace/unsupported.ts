/** The condition Unsupported: what is asked for and nothing follows from. The one list of it. Pure. */
import { resetSessionAt } from '../../api/meta.ts'
import { unsupportedFields, type Workspace } from '../../api/workspace.ts'
import type { ConditionDraft } from '../../kube/reconciler.ts'

export interface Keeping {
  readonly runtime: string
  readonly sessionsPath: string | undefined
  readonly tier: number
  /** Whether the root of its container cannot be written to. */
  readonly sealed: boolean
  readonly external: boolean
}

/** Why an agent has no sessions that the operator could empty; undefined: it has. */
export function whyNoSessions({ runtime, sessionsPath, tier, sealed, external }: Keeping): string | undefined {
  if (external) return 'the agent is run by its owner, and so are its sessions'
  if (sessionsPath === undefined) return `runtime "${runtime}" keeps no sessions: it has no sessionsPath`
  if (sealed) return `an agent of tier ${String(tier)} keeps no sessions: its root cannot be written to`
  return undefined
}

/** `noSessions`: what `whyNoSessions` says. */
export function unsupportedCondition(
  { spec, metadata }: Pick<Workspace, 'spec' | 'metadata'>,
  noSessions: string | undefined,
): ConditionDraft[] {
  const fields = unsupportedFields(spec)
  const told = [
    ...(fields.length > 0
      ? ([['NotActedOnYet', `not acted on yet, the rest works: ${fields.join(', ')}`]] as const)
      : []),
    ...(noSessions !== undefined && metadata.annotations?.[resetSessionAt] !== undefined
      ? ([['NoSessions', `${resetSessionAt} empties nothing: ${noSessions}`]] as const)
      : []),
  ]
  const [first] = told
  if (first === undefined) return []
  const message = told.map(([, words]) => words).join('; ')
  return [{ type: 'Unsupported', status: 'True', reason: first[0], message }]
}
