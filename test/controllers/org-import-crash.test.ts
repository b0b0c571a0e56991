/** The operator killed in the middle of an import, as a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { freePort } from '../../src/dev/server-process.ts'
import { controlPlane, namespace, openNamespace, operatorKubeconfig } from '../support/cluster.ts'
import { database } from '../support/database.ts'
import { conditionOf, fromConfigMap, orgImport, readOrg, readTree, template } from '../support/orgs.ts'
import { until } from '../support/until.ts'

const cluster = controlPlane()
const ns = await namespace(cluster)
const databaseUrl = await database()
const running = new Set<ChildProcess>()
afterAll(async () => {
  for (const child of running) {
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
})

async function start(env: Record<string, string> = {}): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../src/dev/main.ts'), 'run'], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      KUBECONFIG: await operatorKubeconfig(),
      DATABASE_URL: databaseUrl,
      BACKENDS: 'external',
      PLATFORM_HOST: '127.0.0.1',
      PLATFORM_PORT: String(await freePort()),
      HEALTH_HOST: '127.0.0.1',
      HEALTH_PORT: String(await freePort()),
      LEASE_NAME: `crash-${ns}`,
      LEADER_ELECT: 'false',
      LOG_LEVEL: 'error',
      ...env,
    },
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

const size = 40
const files = {
  'org.yaml': `workspaces: [${Array.from({ length: size }, (_, i) => `{ name: Agent ${i}, system_prompt: You are ${i}. }`).join(', ')}]`,
}

test('killed after it applied some, the next one applies the rest and touches none of them twice', async () => {
  await openNamespace(ns, cluster)
  const killed = await start({ FAILPOINT: 'applied:3' })
  const exit = once(killed, 'exit')
  await cluster.apply([template(ns, 'crowd', files), orgImport(ns, 'crowd', fromConfigMap('crowd'))])
  expect(await exit).toEqual([null, 'SIGKILL'])
  const half = await readTree(cluster, ns)
  expect(half.size).toBeGreaterThanOrEqual(3)
  expect(half.size).toBeLessThan(size)

  await start()
  const org = await until(
    async () => {
      const found = await readOrg(cluster, ns, 'crowd')
      return conditionOf(found.status, 'Applied') === 'True Applied' ? found : undefined
    },
    { within: 90_000, what: 'the whole tree' },
  )
  // What was on its way when the first one died may have been made after the look at its half.
  const { desired, existing = 0, created = 0 } = org.status?.counts ?? {}
  expect([desired, existing + created]).toEqual([size, size])
  expect(existing).toBeGreaterThanOrEqual(half.size)
  expect(created).toBeGreaterThan(0)
  const whole = await readTree(cluster, ns)
  expect(whole.size).toBe(size)
  expect([...whole.values()].filter(({ metadata }) => metadata.generation !== 1)).toEqual([])
  for (const [name, { metadata }] of half) expect(whole.get(name)?.metadata.uid).toBe(metadata.uid)
}, 240_000)

test('killed in the middle of a plan that a person approved, the next one finishes it without asking again', async () => {
  const [before] = running
  const ended = before && once(before, 'exit')
  before?.kill('SIGKILL')
  await ended
  const killed = await start({ FAILPOINT: 'applied:3' })
  const exit = once(killed, 'exit')
  await cluster.apply([
    template(ns, 'asked', { 'org.yaml': files['org.yaml'].replaceAll('Agent ', 'Clerk ') }),
    orgImport(ns, 'asked', { ...fromConfigMap('asked'), approval: 'Manual' }),
  ])
  const digest = await until(async () => (await readOrg(cluster, ns, 'asked')).status?.plan?.digest, { within: 90_000 })
  const approval = JSON.stringify({ spec: { approvedPlan: digest } })
  await cluster.kubectl(['patch', 'org', 'asked', '-n', ns, '--type=merge', '-p', approval])
  expect(await exit).toEqual([null, 'SIGKILL'])

  await start()
  const org = await until(
    async () => {
      const found = await readOrg(cluster, ns, 'asked')
      return conditionOf(found.status, 'Applied') === 'True Applied' ? found : undefined
    },
    { within: 90_000, what: 'the rest of the approved plan' },
  )
  expect(org.status?.counts?.desired).toBe(size)
  const made = [...(await readTree(cluster, ns)).keys()].filter((name) => name.startsWith('Clerk'))
  expect(made.length).toBe(size)
}, 240_000)
