/** How many agents are busy without end, as the passes of this leader found them: a tenant may write any status. */
import type { Metrics } from '../../telemetry/metrics.ts'
import type { Fleet } from '../fleet.ts'

export function countBusy(
  fleet: Fleet,
  { busyTooLong, phantomBusyResets }: Pick<Metrics, 'busyTooLong' | 'phantomBusyResets'>,
): void {
  fleet.onChange((_, before, after) => {
    const [was, is] = [before?.busyTooLong === true, after?.busyTooLong === true]
    if (was === is) return
    busyTooLong.inc(is ? 1 : -1)
    // What the first pass of a leader finds was counted by the leader before.
    if (is && before !== undefined) phantomBusyResets.inc()
  })
}
