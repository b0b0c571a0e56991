/** Ready of an import follows its agents: it is never True while one that should run is not there. */
import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { OrgImport } from '../../src/api/org-import.ts'
import type { InstanceSpec } from '../../src/backends/backend.ts'
import { registerAt } from '../../src/backends/fake/agent.ts'
import { openScene } from '../incidents/scene.ts'
import { adminToken } from '../support/operator.ts'
import { conditionOf, onePass, orgImport, readOrg, readTree } from '../support/orgs.ts'
import { patchStatus } from '../support/status-patch.ts'
import { until } from '../support/until.ts'
import { runtime } from '../support/workspaces.ts'

/** Agents that came to register, and beat more often than the short silence allows. */
const beating = new Map<string, NodeJS.Timeout>()
function agent(spec: InstanceSpec, ended: AbortSignal): void {
  const { uid, name } = spec.ref
  if (name.startsWith('mute')) return
  registerAt(spec, ended)
  const timer = setInterval(() => void scene.beat(uid, spec.token).catch(() => undefined), 500)
  timer.unref()
  beating.set(uid, timer)
  ended.addEventListener('abort', () => clearInterval(timer))
}

const scene = await openScene({ env: { LIVENESS_SILENCE: '2s' }, agent })
const { cluster, ns, backend, edit } = scene
/** For agents that do not come to register. */
const impatient = `impatient-${randomBytes(4).toString('hex')}`
await cluster.apply([runtime(impatient, { bootDeadline: '3s' })])
const far = { within: 60_000 }

const make = (name: string, ...workspaces: object[]) =>
  cluster.apply([
    orgImport(ns, name, { source: { inline: { name, defaults: { runtime: scene.runtimeName }, workspaces } } }),
  ])

/** Waits until the import says so of its generation: `Ready False NodeFailed` and the like. */
async function says(name: string, ...verdicts: readonly string[]): Promise<OrgImport> {
  return await until(
    async () => {
      const org = await readOrg(cluster, ns, name)
      expect(org.status?.observedGeneration).toBe(org.metadata.generation)
      const held = org.status?.conditions?.map(({ type }) => `${type} ${conditionOf(org.status, type)}`)
      expect(held).toEqual(expect.arrayContaining([...verdicts]))
      return org
    },
    { ...far, what: `${name} to be ${verdicts.join(', ')}` },
  )
}
const typesOf = ({ status }: OrgImport) => status?.conditions?.map(({ type }) => type) ?? []
const ready = 'Ready True Settled'

async function nodeOf(display: string) {
  const { metadata } = (await readTree(cluster, ns)).get(display) ?? {}
  if (metadata === undefined) throw new Error(`there is no Workspace "${display}"`)
  return metadata
}

describe('Ready', () => {
  test('waits for an external agent, and is gone while that is silent', async () => {
    await make('watch', { name: 'Night Watch', external: true })
    const waiting = await says('watch', 'Ready False Provisioning', 'Provisioned False Provisioning')
    expect(typesOf(waiting)).toContain('Reconciling')
    expect(waiting.status?.summary).toMatch(/^0 of 1 ready: Night Watch: The agent has not registered yet/)
    await expect(
      cluster.kubectl(['wait', '--for=condition=Ready', 'org/watch', '-n', ns, '--timeout=2s']),
    ).rejects.toThrow(/timed out/)
    const { uid, name } = await nodeOf('Night Watch')
    // Only of one that fetches its messages a beat alone is enough.
    await edit(name, { spec: { delivery: 'poll' } })
    const asAdmin = { method: 'POST', headers: { authorization: `Bearer ${adminToken}` } }
    const minted = await fetch(`${scene.operator().platformUrl}/admin/workspaces/${uid}/tokens`, asAdmin)
    const { auth_token: token } = (await minted.json()) as { auth_token: string }
    expect(await scene.beat(uid, token)).toBe(200)
    await says('watch', ready)
    const silent = await says('watch', 'Ready False Provisioning', 'Provisioned False Provisioning')
    expect(typesOf(silent)).toContain('Reconciling')
    expect(silent.status?.nodes).toMatchObject([{ path: 'Night Watch', phase: 'awaiting_agent' }])
    expect(await scene.beat(uid, token)).toBe(200)
    expect((await says('watch', ready)).status?.nodes).toEqual([])
  })

  test('is never True while an agent does not come up, whatever its status is made to say', async () => {
    await make('broken', { name: 'Mute', runtime: impatient })
    const seen = new Set<string>()
    const failed = await until(async () => {
      const org = await readOrg(cluster, ns, 'broken')
      seen.add(conditionOf(org.status, 'Ready') ?? 'none')
      return conditionOf(org.status, 'Ready') === 'False NodeFailed' ? org : undefined
    }, far)
    expect(failed.status?.summary).toMatch(/^0 of 1 ready: Mute: /)
    const { name } = await nodeOf('Mute')
    const forged = { phase: 'online', conditions: [{ ...readyCondition, status: 'True' }] }
    for (let i = 0; i < 5; i++) {
      await patchStatus(cluster, ['ws', ns, name], forged)
      await onePass(cluster, ns, 'broken')
      seen.add(conditionOf((await readOrg(cluster, ns, 'broken')).status, 'Ready') ?? 'none')
    }
    expect([...seen].filter((verdict) => verdict.startsWith('True'))).toEqual([])
  })

  test('is gone while an agent that crashed is started again', async () => {
    await make('crash', { name: 'Runner' }, { name: 'Walker' })
    await says('crash', ready)
    const { uid } = await nodeOf('Runner')
    // What served for less than five seconds waits as long for its next launch.
    backend.kill(uid)
    const down = await until(async () => {
      const org = await readOrg(cluster, ns, 'crash')
      return conditionOf(org.status, 'Ready') === 'True Settled' ? undefined : org
    }, far)
    expect(down.status?.summary).toMatch(/^1 of 2 ready: Runner: /)
    expect(typesOf(down)).not.toContain('Stalled')
    await says('crash', ready)
  })
})

const readyCondition = {
  type: 'Ready',
  reason: 'Settled',
  message: 'forged',
  lastTransitionTime: '2026-01-01T00:00:00Z',
}

describe('what a person did', () => {
  test('to pause agents leaves the import Ready, and it says how many', async () => {
    await make('rest', { name: 'Early' }, { name: 'Late' })
    await says('rest', ready)
    const { name } = await nodeOf('Late')
    await edit(name, { spec: { power: 'Paused' } })
    const summary = (wanted: string) =>
      until(async () => {
        const org = await says('rest', ready)
        return org.status?.summary?.startsWith(wanted) === true
      }, far)
    await summary('2 of 2 ready, 1 paused; last change: ')
    await edit(name, { spec: { power: 'Running' } })
    await summary('2 of 2 ready; last change: ')
    await edit(name, { spec: { hibernation: { idleAfter: '1s' } } })
    await summary('2 of 2 ready, 1 asleep; last change: ')
  })

  test('to suspend one, or to name what is not there, stalls the import until it is mended', async () => {
    await make('hands', { name: 'Free' }, { name: 'Held' })
    await says('hands', ready)
    const { name } = await nodeOf('Held')
    await edit(name, { spec: { suspend: true } })
    const held = await says('hands', 'Ready False NodeSuspended', 'Stalled True NodeSuspended')
    expect(held.status?.summary).toBe('1 of 2 ready: Held: spec.suspend is true: nothing is done for it')
    await edit(name, { spec: { suspend: false } })
    expect(typesOf(await says('hands', ready))).not.toContain('Stalled')
    await edit(name, { spec: { envFrom: [{ secretRef: { name: 'nowhere' } }] } })
    const lacking = await says('hands', 'Ready False NodeFailed', 'Stalled True NodeFailed')
    expect(lacking.status?.counts).toMatchObject({ ready: 1, failed: 1 })
    await edit(name, { spec: { envFrom: null } })
    await says('hands', ready)
  })

  test('to what the import builds around is followed, too', async () => {
    await scene.make('boss', { displayName: 'Boss', runtime: scene.runtimeName })
    await cluster.apply([
      orgImport(ns, 'around', {
        existing: 'Ignore',
        source: {
          inline: {
            name: 'Around',
            defaults: { runtime: scene.runtimeName },
            workspaces: [{ name: 'Boss', children: [{ name: 'Below' }] }],
          },
        },
      }),
    ])
    await says('around', ready)
    await edit('boss', { spec: { suspend: true } })
    await says('around', 'Stalled True NodeSuspended')
    await edit('boss', { spec: { suspend: false } })
    await says('around', ready)
  })
})

test('a hundred agents come up in few writes of their import, a settled one is told in none', async () => {
  const crowd = Array.from({ length: 100 }, (_, i) => ({ name: `Crowd ${i}` }))
  const before = await statusWrites()
  await make('crowd', ...crowd)
  await says('crowd', ready)
  const writes = (await statusWrites()) - before
  console.info(`  an import of 100: ${writes} writes of its status`)
  expect(writes).toBeLessThan(40)
  const at = await statusWrites()
  await onePass(cluster, ns, 'crowd')
  // The pass that was asked for is acknowledged in the status.
  expect((await statusWrites()) - at).toBe(1)
})

/** Of imports, by the operator's own count. */
async function statusWrites(): Promise<number> {
  const text = await (await fetch(`${scene.operator().healthUrl}/metrics`)).text()
  return Number(/^molecule_operator_status_writes_total\{controller="org-import"\} (\d+)$/m.exec(text)?.[1] ?? 0)
}
