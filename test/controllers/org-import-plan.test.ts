/** A tree edited in ten places: planned, shown, approved, applied; in the end what a fresh import of it is. */
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import type { OrgImport } from '../../src/api/org-import.ts'
import { fakeWithAgents } from '../support/operator.ts'
import { editions, orgKeys } from '../support/org-edits.ts'
import { identities, orgScene, patch } from '../support/org-scene.ts'
import { atRest } from '../support/orgs.ts'
import { rowsOf, specsOf } from '../support/org-shape.ts'
import { until } from '../support/until.ts'
import { conditionOf } from '../support/workspaces.ts'
import { writesOf } from '../support/writes.ts'

const scene = await orgScene(fakeWithAgents(), { SECRETS_KEY: randomBytes(32).toString('base64') })
const { cluster, settles } = scene
/** Of the tree; `ORG_NODES=1000` for a large one. */
const size = Number(process.env['ORG_NODES'] ?? 60)
const { before, after, kept, restarted, removed, added } = editions(size)

async function whole(ns: string) {
  const workspaces = await scene.workspaces(ns)
  return { ...(await specsOf(cluster, ns, workspaces)), rows: await rowsOf(scene.db, workspaces) }
}

/** With all that follows from it in rows. */
async function settled(ns: string, verdict: string): Promise<OrgImport> {
  const found = await settles(ns, 'works', 'Ready', verdict)
  await until(
    async () => {
      for (const { metadata, status } of await scene.workspaces(ns)) {
        expect([metadata.name, status?.observedGeneration]).toEqual([metadata.name, metadata.generation])
        expect(conditionOf(status, 'PartsRecorded')).toBe('True Recorded')
      }
      return true
    },
    { what: 'the parts of all to be recorded', within: 45_000 },
  )
  return found
}

function planOf({ status }: OrgImport) {
  if (status?.plan?.digest === undefined) throw new Error('there is no plan')
  return status.plan
}

test('a tree edited in ten places becomes what a fresh import of the edited template is', async () => {
  const [ns, fresh] = [await scene.opened(), await scene.opened()]
  await cluster.apply([orgKeys(ns), orgKeys(fresh)])
  await scene.org(ns, 'works', { ...before, prune: 'Delete' })
  await settled(ns, `0 of ${size} existed, ${size} created / True`)
  const were = identities(await scene.workspaces(ns))
  const launches = new Map(scene.backend.creates)

  const spec = { ...after, prune: 'Delete', approval: 'Manual' }
  await scene.org(ns, 'works', spec)
  const plan = planOf(await settles(ns, 'works', 'Applied', 'False PlanBlocked'))
  expect(plan).toMatchObject({ create: 1, rename: 1, move: 1, adopt: 0, orphan: 0, delete: 1 })
  expect(plan.actions?.length).toBe(20)
  const map = (await cluster.getJson('configmap', plan.configMap ?? '', '-n', ns)) as { data: Record<string, string> }
  const text = map.data['plan.txt'] ?? ''
  const line = (pattern: RegExp) => expect(text).toMatch(pattern)
  expect(text).toContain(`digest: ${plan.digest}`)
  line(/^rename +\S.*\/Author \(agent-\d+-[0-9a-f]{8}\) was Agent 0.*displayName "Agent \d+" → "Author"/m)
  line(/^move +\S.* \(agent-\d+-[0-9a-f]{8}\) was Agent 0.*parentRef/m)
  expect(text).toContain(`\nprune     ${removed} (`)
  expect(text).toContain(`\ncreate    ${added} (`)
  line(/model "sonnet" → "opus"/)
  line(/^update .* texts of files$/m)
  line(/^update .* schedules/m)
  line(/^update .* envFrom/m)
  line(/^update +Agent 0 \(.*\) canvas$/m)
  line(/^install +browser /m)
  await scene.tells(ns, 'works', 'PlanBlocked')
  // Nothing has been done, and an approval of another plan does nothing either.
  await patch(cluster, ns, 'org', 'works', { spec: { approvedPlan: '0'.repeat(32) } })
  await settles(ns, 'works', 'Applied', 'the approved plan is another one')
  expect(identities(await scene.workspaces(ns))).toEqual(were)

  await patch(cluster, ns, 'org', 'works', { spec: { approvedPlan: plan.digest } })
  const done = await settled(ns, 'True Settled')
  expect(done.status?.counts).toMatchObject({ desired: size, created: 1, pruned: 1, failed: 0, ready: size })
  await until(async () => (await scene.workspaces(ns)).length === size, {
    what: 'who left to be gone',
    within: 45_000,
  })
  await scene.org(fresh, 'works', { ...spec, approval: 'Auto' })
  await settled(fresh, 'True Settled')
  // What a plugin's install declares comes into rows by a pass of its own.
  await until(
    async () => {
      expect(await whole(ns)).toEqual(await whole(fresh))
      return true
    },
    { what: 'both trees to be the same', within: 45_000 },
  )

  const are = identities(await scene.workspaces(ns))
  expect([...kept].filter(([was, is]) => were.get(was) !== are.get(is))).toEqual([])
  expect(kept.size).toBe(size - 1)
  expect([are.has(removed), are.has(added)]).toEqual([false, true])
  // A row is its Workspace's, by id: none was made for who was renamed or moved, and only who left was removed.
  const { rows } = await scene.db.query<{ id: string; status: string }>(
    'SELECT id, status FROM workspaces WHERE namespace = $1',
    [ns],
  )
  expect(new Set(rows.map(({ id }) => id))).toEqual(new Set([...were.values(), ...are.values()]))
  expect(rows.filter(({ status }) => status === 'removed').map(({ id }) => id)).toEqual([were.get(removed)])
  // Only whom an agent's own matters changed for starts anew.
  const again = () => [...are].filter(([, uid]) => scene.backend.creates.get(uid) !== (launches.get(uid) ?? 1))
  await until(
    () => {
      expect(
        again()
          .map(([path]) => path)
          .toSorted(),
      ).toEqual(restarted.toSorted())
      return true
    },
    { what: 'their restarts', within: 45_000 },
  )

  const [writes, everything] = [await atRest(cluster, scene.operator(), ns, 'works'), await whole(ns)]
  await scene.org(ns, 'works', spec)
  await scene.onePass(ns, 'works')
  expect(await writesOf(scene.operator())).toBe(writes)
  expect(await whole(ns)).toEqual(everything)
}, 360_000)
