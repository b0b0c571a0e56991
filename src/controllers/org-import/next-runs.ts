/** When the schedules of nodes run next, as of now. Pure. */
import { nextRun } from '../../cron.ts'
import type { OrgNode } from '../../orgs/tree.ts'

export interface NextRun {
  readonly path: string
  readonly name: string
  readonly at: Date
}

/** The soonest first; without those that are turned off or never run again. */
export function nextRuns(nodes: readonly Pick<OrgNode, 'path' | 'spec'>[], now: Date): NextRun[] {
  const runs = nodes.flatMap(({ path, spec: { schedules = [] } }) =>
    schedules.flatMap(({ name, cron, timezone, enabled }) => {
      const at = enabled ? nextRun(cron, timezone, now) : undefined
      return at === undefined ? [] : [{ path, name, at }]
    }),
  )
  return runs.toSorted((a, b) => a.at.getTime() - b.at.getTime())
}

/** `Lead: morning at 2026-03-02T06:30Z` */
export const shownRun = ({ path, name, at }: NextRun): string => `${path}: ${name} at ${at.toISOString().slice(0, 16)}Z`
