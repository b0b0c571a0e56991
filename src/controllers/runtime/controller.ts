/** What makes a pass of a Runtime, and how its users are counted. */
import { keyOf } from '../../api/meta.ts'
import type { Runtime } from '../../api/runtime.ts'
import type { Workspace } from '../../api/workspace.ts'
import { seconds } from '../../duration.ts'
import type { Controller } from '../../kube/controller.ts'
import type { Informer } from '../../kube/informer.ts'
import type { RuntimeCollaborators, Usage } from './reconcile.ts'

/** Index that the Workspace informer must be made with: the Runtime in use, defaults applied. */
export const usageIndex = (ws: Workspace): string[] => (ws.status?.runtime === undefined ? [] : [ws.status.runtime])

/** Runs, and from another image than the Runtime asks for. */
const isStale = ({ status }: Workspace): boolean =>
  (status?.conditions ?? []).some(({ type, status: holds }) => type === 'ImageCurrent' && holds === 'False')

export function runtimeViews(runtimes: Informer<Runtime>, workspaces: Informer<Workspace>): RuntimeCollaborators {
  return {
    defaults: () =>
      [...runtimes.cache.values()].filter(({ spec }) => spec.default).map(({ metadata }) => metadata.name),
    usage: ({ metadata }): Usage => {
      const users = workspaces.cache.byIndex('usage', metadata.name)
      const stale = users.filter(isStale).map(keyOf)
      return { current: users.length - stale.length, stale: stale.sort() }
    },
  }
}

const isStaleAt = (ws: Workspace | undefined): boolean => ws !== undefined && isStale(ws)

export function watchAroundRuntimes(
  controller: Controller<Runtime>,
  runtimes: Informer<Runtime>,
  workspaces: Informer<Workspace>,
): void {
  // Only one may be the default, so whoever sets or gives that up concerns all that claim it.
  controller.watch(runtimes, ({ before, after }) =>
    before?.spec.default === after?.spec.default
      ? []
      : [...runtimes.cache.values()].filter(({ spec }) => spec.default).map(keyOf),
  )
  workspaces.onChange(({ before, after }) => {
    const [was, is] = [before?.status, after?.status]
    if (was?.runtime === is?.runtime && isStaleAt(before) === isStaleAt(after)) return
    for (const name of new Set([was?.runtime, is?.runtime]))
      if (name !== undefined) controller.enqueueAfter(name, seconds(1))
  })
}
