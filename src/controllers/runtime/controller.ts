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

/** The Runtime that a Workspace uses, and whether it runs an older image; of a status only until its first pass. */
interface Use {
  readonly runtime: string | undefined
  readonly stale: boolean
}

const useOf = ({ status }: Workspace, result: PassResult | undefined): Use =>
  result === undefined
    ? {
        runtime: status?.runtime,
        stale: (status?.conditions ?? []).some(
          ({ type, status: holds }) => type === 'ImageCurrent' && holds === 'False',
        ),
      }
    : { runtime: result.runtime, stale: result.image?.current === false && result.startedAt !== undefined }

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
        .map((workspace) => useOf(workspace, fleet.of(workspace)))
        .filter(({ runtime }) => runtime === metadata.name)
      const stale = users.filter((use) => use.stale).length
      const unknown = (spec.default ? candidates : asking).some((workspace) => fleet.of(workspace) === undefined)
      return { current: users.length - stale, stale, unknown }
    },
  }
}

export function watchAroundRuntimes(controller: Controller<Runtime>, runtimes: Informer<Runtime>, fleet: Fleet): void {
  // Only one may be the default, so whoever sets or gives that up concerns all that claim it.
  controller.watch(runtimes, ({ before, after }) =>
    before?.spec.default === after?.spec.default
      ? []
      : [...runtimes.cache.values()].filter(({ spec }) => spec.default).map(keyOf),
  )
  fleet.onChange((workspace, before, after) => {
    const [was, is] = [useOf(workspace, before), after && useOf(workspace, after)]
    const looked = before === undefined
    if (!looked && was.runtime === is?.runtime && was.stale === is?.stale) return
    for (const name of new Set([was.runtime, is?.runtime, workspace.spec.runtime]))
      if (name !== undefined) controller.enqueueAfter(name, seconds(1))
  })
}
