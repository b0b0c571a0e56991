import { expect, test } from 'vitest'
import type { Workspace } from '../../api/workspace.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import { Fleet } from '../fleet.ts'
import { countBusy } from './busy.ts'

test('agents are counted as passes find them, and once each, whatever their statuses say', () => {
  const counted = { busy: 0, told: 0 }
  const fleet = new Fleet()
  countBusy(fleet, {
    busyTooLong: { inc: (by: number) => void (counted.busy += by) },
    phantomBusyResets: { inc: () => void counted.told++ },
  } as unknown as Metrics)
  const busy = { type: 'BusyTooLong', status: 'True', reason: 'NoTraffic', message: '' } as const
  const workspace = (uid: string) =>
    ({
      metadata: { name: uid, namespace: 'n', uid, generation: 1 },
      status: { conditions: [busy] },
    }) as unknown as Workspace
  const pass = (uid: string, ...conditions: (typeof busy)[]) => {
    const status = { summary: '', conditions, transition: { to: 'online', reason: 'R', actor: 'agent' } }
    fleet.note(workspace(uid), { status, outcome: { kind: 'settled' } })
    return { ...counted }
  }
  expect(pass('forged')).toEqual({ busy: 0, told: 0 })
  // Of one that was busy when this leader began.
  expect(pass('before', busy)).toEqual({ busy: 1, told: 0 })
  expect(pass('forged', busy)).toEqual({ busy: 2, told: 1 })
  expect(pass('forged', busy)).toEqual({ busy: 2, told: 1 })
  fleet.noteBlocked(workspace('forged'), { reason: 'R', message: '', blocked: true })
  expect(counted).toEqual({ busy: 2, told: 1 })
  expect(pass('forged')).toEqual({ busy: 1, told: 1 })
  fleet.forget(workspace('before'))
  expect(counted).toEqual({ busy: 0, told: 1 })
})
