/** The count of imported Workspaces that are starting is kept as changes come, and equals what a recount finds. */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Workspace, WorkspaceStatus } from '../../api/workspace.ts'
import type { Change } from '../../kube/client.ts'
import { ObjectCache } from '../../kube/object-cache.ts'
import type { Verdict } from '../../kube/reconciler.ts'
import { Fleet, isStarting } from '../fleet.ts'
import { importIndex, startingByNamespace } from './controller.ts'

const verdict = (phase: 'provisioning' | 'online'): Verdict<WorkspaceStatus> => ({
  status: { phase, conditions: [], transition: { to: phase, reason: 'R', actor: 'operator' } },
  outcome: { kind: 'settled' },
})

const key = { namespace: fc.constantFrom('a', 'b', 'c'), name: fc.constantFrom('x', 'y') }
const step = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), ...key, uid: fc.nat(2), generation: fc.nat(3), of: fc.boolean() }),
  fc.record({ kind: fc.constant('end' as const), ...key }),
  fc.record({ kind: fc.constant('delete' as const), ...key }),
  fc.record({ kind: fc.constant('note' as const), ...key, phase: fc.constantFrom('provisioning', 'online') }),
  fc.record({ kind: fc.constant('block' as const), ...key }),
)

test('whatever comes and goes, and whichever of cache and pass is told first', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const told: ((change: Change<Workspace>) => void)[] = []
      const cache = new ObjectCache<Workspace>({}, (change) => told.forEach((tell) => tell(change)))
      const fleet = new Fleet()
      told.push(({ before, after }) => void (before !== undefined && after === undefined && fleet.forget(before)))
      const counted = startingByNamespace({ cache, onChange: (listener) => told.push(listener) }, fleet)
      let version = 1
      let last: Workspace | undefined
      for (const each of steps) {
        const { namespace, name } = each
        const live = cache.get(`${namespace}/${name}`)
        const put = (metadata: object) =>
          cache.put({
            ...live,
            metadata: { ...live?.metadata, ...metadata, resourceVersion: String(++version) },
          } as Workspace)
        if (each.kind === 'put') {
          const ownerReferences = each.of ? [{ apiVersion: 'v', kind: 'OrgImport', name: 'o', uid: 'o' }] : []
          put({
            namespace,
            name,
            uid: `${namespace}/${name}/${each.uid}`,
            generation: each.generation,
            ownerReferences,
          })
        }
        if (live !== undefined && each.kind === 'end') put({ deletionTimestamp: 'now' })
        if (live !== undefined && each.kind === 'delete') cache.evict(live)
        // A pass looks at the object as it was when it began, which may be gone by its end.
        const seen = live ?? last
        if (seen !== undefined && each.kind === 'note') fleet.note(seen, verdict(each.phase))
        if (seen !== undefined && each.kind === 'block')
          fleet.noteBlocked(seen, { reason: 'R', message: 'm', blocked: true })
        last = live
        const recount = new Map<string, number>()
        for (const one of cache.values()) {
          const of = one.metadata.namespace ?? ''
          if (importIndex(one).length > 0 && isStarting(one, fleet.of(one))) recount.set(of, (recount.get(of) ?? 0) + 1)
        }
        expect(counted()).toEqual(recount)
      }
    }),
    { numRuns: 300 },
  )
})
