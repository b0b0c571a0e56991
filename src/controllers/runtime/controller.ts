/** What makes a pass of a Runtime, and how its users are counted. */
import { keyOf } from '../../api/meta.ts'
import type { Runtime } from '../../api/runtime.ts'
import type { Workspace } from '../../api/workspace.ts'
import { seconds } from '../../duration.ts'
import type { Controller } from '../../kube/controller.ts'
import type { Informer } from '../../kube/informer.ts'
import type { Fleet, PassResult } from '../fleet.ts'
import type { RuntimeCollaborators, Usage } from './reconcile.ts'

/** Index that the Workspace informer must be made with: the Runtime asked for, empty for the default one. */
export const usageIndex = (ws: Workspace): string[] => [ws.spec.runtime ?? '']

/** The Runtime that a Workspace uses, and what of it runs. */
interface Use {
  readonly runtime: string | undefined
  /** An instance runs: of the image that is wanted, as far as its backend runs images, or of an older one. */
  readonly runs: 'current' | 'stale' | undefined
}

/** Never of the status: a tenant may write it, and a Runtime is read in every namespace. */
const useOf = (result: PassResult | undefined): Use => ({ runtime: result?.runtime, runs: runsOf(result) })

function runsOf(result: PassResult | undefined): Use['runs'] {
  if (result?.startedAt === undefined) return undefined
  return result.image?.current === false ? 'stale' : 'current'
}

export function runtimeViews(
  runtimes: Informer<Runtime>,
  workspaces: Informer<Workspace>,
  fleet: Fleet,
): RuntimeCollaborators {
  return {
    defaults: () =>
      [...runtimes.cache.values()].filter(({ spec }) => spec.default).map(({ metadata }) => metadata.name),
    usage: ({ metadata, spec }): Usage => {
      const asking = workspaces.cache.byIndex('usage', metadata.name)
      const candidates = [...asking, ...workspaces.cache.byIndex('usage', '')]
      const users = candidates
        .map((workspace) => useOf(fleet.of(workspace)))
        .filter(({ runtime }) => runtime === metadata.name)
      const count = (runs: Use['runs']) => users.filter((use) => use.runs === runs).length
      const concerned = spec.default ? candidates : asking
      const stays = ({ metadata: { deletionTimestamp } }: Workspace) => deletionTimestamp === undefined
      return {
        users: users.length,
        current: count('current'),
        stale: count('stale'),
        unseen: concerned.some((workspace) => stays(workspace) && fleet.of(workspace) === undefined),
        unknown: concerned.some((workspace) => fleet.of(workspace)?.rowRead !== true),
      }
    },
  }
}

export function watchAroundRuntimes(controller: Controller<Runtime>, runtimes: Informer<Runtime>, fleet: Fleet): void {
  // Only one may be the default: each that begins or ceases to claim it makes a pass of all that claim it.
  controller.watch(runtimes, ({ before, after }) =>
    before?.spec.default === after?.spec.default
      ? []
      : [...runtimes.cache.values()].filter(({ spec }) => spec.default).map(keyOf),
  )
  fleet.onChange((workspace, before, after) => {
    const [was, is] = [useOf(before), useOf(after)]
    const looked = before === undefined || before.rowRead !== after?.rowRead
    if (!looked && was.runtime === is.runtime && was.runs === is.runs) return
    // An agent that ends again and again must not cost a status a second.
    const pause = seconds(looked || was.runtime !== is.runtime ? 1 : 5)
    for (const name of new Set([was.runtime, is.runtime, workspace.spec.runtime]))
      if (name !== undefined) controller.enqueueAfter(name, pause)
  })
}
