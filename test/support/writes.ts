import type { TestOperator } from './operator.ts'

/**
 * How many requests an operator has sent that write objects, by its own count. Statuses, events and its lease are not among
 * them: those follow from what agents say, and from time.
 */
export async function writesOf({ healthUrl }: TestOperator): Promise<number> {
  const text = await (await fetch(`${healthUrl}/metrics`)).text()
  const counted = text.matchAll(
    /^molecule_operator_api_requests_total\{.*verb="(?:apply|create|patch|delete)".*\} (\d+)$/gm,
  )
  return [...counted].reduce((sum, [, count]) => sum + Number(count), 0)
}
