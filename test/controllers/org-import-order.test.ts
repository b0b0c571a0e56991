/** In which order a tree comes up. */
import { expect, onTestFinished, test } from 'vitest'
import { workspaceType } from '../../src/api/workspace.ts'
import { createKube } from '../../src/kube/kube.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { orgScene } from '../support/org-scene.ts'

const scene = await orgScene()

/** Workspaces of a namespace, in the order in which the API server made them. */
async function births(ns: string): Promise<{ name: string; parent: string | undefined }[]> {
  const kube = await createKube({
    credentials: { kubeconfig: scene.cluster.kubeconfig },
    log: createLogger('silent'),
    metrics: createMetrics(),
    fieldManager: 'test',
  })
  const informer = kube.informer({ type: workspaceType, namespace: ns })
  const stop = new AbortController()
  const running = kube.start(stop.signal)
  onTestFinished(async () => {
    stop.abort()
    await running
    await kube.close()
  })
  await informer.synced
  const seen: { name: string; parent: string | undefined }[] = []
  informer.onChange(({ before, after }) => {
    if (before === undefined && after !== undefined)
      seen.push({ name: after.metadata.name, parent: after.spec.parentRef?.name })
  })
  return seen
}

/** Three below each, four levels: 40 agents. */
const below = (level: number): object[] =>
  level === 4
    ? []
    : Array.from({ length: level === 0 ? 1 : 3 }, (_, i) => ({
        name: `L${level}-${i}`,
        external: true,
        children: below(level + 1),
      }))

test('no Workspace is made before its parent', async () => {
  const ns = await scene.opened()
  const born = await births(ns)
  await scene.org(ns, 'tall', { source: { inline: { name: 'Tall', workspaces: below(0) } } })
  await expect.poll(() => born.length, { timeout: 90_000 }).toBe(40)
  const place = new Map(born.map(({ name }, i) => [name, i]))
  const early = born.filter(({ parent }, i) => parent !== undefined && (place.get(parent) ?? Infinity) > i)
  expect(early).toEqual([])
})
