/** How the status of an import is worded. Pure. */
import type { OrgImportCondition, OrgImportReason } from '../../api/reasons.ts'
import type { ConditionDraft } from '../../kube/reconciler.ts'
import { cut, oneLine } from '../../text.ts'

export const condition = (
  type: OrgImportCondition,
  holds: boolean,
  reason: OrgImportReason,
  message: string,
): ConditionDraft => ({ type, status: holds ? 'True' : 'False', reason, message })

export const line = (text: string): string => cut(oneLine(text), 1000)

/** The first few of many. */
export function listed(messages: readonly string[], separator = '; '): string {
  const rest = messages.length > 3 ? `${separator}and ${messages.length - 3} more` : ''
  return cut(messages.slice(0, 3).join(separator), 2000) + rest
}
