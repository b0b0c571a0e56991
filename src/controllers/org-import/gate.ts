/** Whether a plan may be carried out now. Pure. */
import type { OrgImport } from '../../api/org-import.ts'
import { plural } from '../../text.ts'
import type { Plan } from './plan.ts'
import { digestOfSteps, splitSteps } from './steps.ts'

export type Gate =
  { readonly kind: 'open' } | { readonly kind: 'dryRun' | 'approval' | 'deletes'; readonly message: string }

/** A tree this small is no tree yet: half of it may go. */
const smallest = 4

export function gateOf(org: OrgImport, plan: Plan): Gate {
  const { spec } = org
  if (spec.dryRun) return { kind: 'dryRun', message: `Dry run: ${counted(plan)}; no workspace was changed` }
  if (plan.steps.length === 0 || isApproved(org, plan)) return { kind: 'open' }
  const refused = spec.approvedPlan === undefined ? '' : ', for the approved plan is another one'
  const how = `set spec.approvedPlan: ${plan.digest}`
  const much = tooMany(org, plan)
  if (much !== undefined)
    return {
      kind: 'deletes',
      message: `${much}: if that is meant, ${how}${refused}; otherwise mend the template, or set spec.prune: Orphan`,
    }
  if (spec.approval === 'Auto') return { kind: 'open' }
  return { kind: 'approval', message: `${counted(plan)}; to carry it out, ${how}${refused}` }
}

/**
 * The plan itself was approved, or it is what is left of the approved one: each of its steps was in it. The list of
 * those comes from the status, and proves itself: it has the digest that the person wrote.
 */
export function isApproved({ spec, status }: OrgImport, plan: Plan): boolean {
  if (spec.approvedPlan === undefined) return false
  if (spec.approvedPlan === plan.digest) return true
  const steps = splitSteps(status?.plan?.steps ?? '')
  if (steps.length === 0 || digestOfSteps(steps, plan.spent) !== spec.approvedPlan) return false
  const approved = new Set(steps)
  return plan.steps.every((step) => approved.has(step))
}

function tooMany({ spec }: OrgImport, { actions, departures }: Plan): string | undefined {
  const deletes = departures.filter(({ kind }) => kind === 'prune').length
  if (deletes === 0) return undefined
  const size = actions.filter(isOwned).length + departures.length
  const what = `the plan deletes ${deletes} of ${size} workspaces`
  if (spec.maxDeletes !== undefined)
    return deletes > spec.maxDeletes ? `${what}, more than spec.maxDeletes: ${spec.maxDeletes}` : undefined
  return size >= smallest && deletes > size / 2 ? `${what}, more than half` : undefined
}

/** Of this import, and not on its way out. */
const isOwned = ({ kind }: Plan['actions'][number]): boolean => ['keep', 'update', 'rename', 'move'].includes(kind)

/** `create 3, update 1` */
export function counted(plan: Plan): string {
  const { create, update, rename, move, adopt, delete: prune } = countsOf(plan)
  const parts = Object.entries({ create, update, rename, move, adopt, delete: prune }).filter(([, count]) => count > 0)
  const installs = plan.installs.actions.length
  const words = [
    ...parts.map(([verb, count]) => `${verb} ${count}`),
    ...(installs === 0 ? [] : [`change ${plural(installs, 'PluginInstall')}`]),
  ]
  return `plan ${plan.digest.slice(0, 8)}: ${words.length === 0 ? 'nothing to do' : words.join(', ')}`
}

export function countsOf({ actions, departures }: Plan) {
  const count = (kind: string) => [...actions, ...departures].filter((each) => each.kind === kind).length
  return {
    create: count('create'),
    update: count('update'),
    rename: count('rename'),
    move: count('move'),
    adopt: count('adopt'),
    orphan: count('orphan'),
    delete: count('prune'),
  }
}
