/** How many agents are busy without end, as their status says: followed from the cache, so that it costs no question. */
import type { Workspace } from '../../api/workspace.ts'
import type { Change } from '../../kube/client.ts'
import type { Source } from '../../kube/controller.ts'
import type { Metrics } from '../../telemetry/metrics.ts'

export function countBusy(
  workspaces: Source<Change<Workspace>>,
  { busyTooLong, phantomBusyResets }: Pick<Metrics, 'busyTooLong' | 'phantomBusyResets'>,
): void {
  workspaces.onChange(({ before, after }) => {
    const [was, is] = [isBusy(before), isBusy(after)]
    if (was === is) return
    busyTooLong.inc(is ? 1 : -1)
    // What a restarted operator finds was counted by the one before.
    if (is && before !== undefined) phantomBusyResets.inc()
  })
}

const isBusy = (workspace: Workspace | undefined): boolean =>
  (workspace?.status?.conditions ?? []).some(({ type, status }) => type === 'BusyTooLong' && status === 'True')
