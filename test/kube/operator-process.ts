/**
 * A small operator on the machine, as a process to be frozen and killed: follows ConfigMaps with the label given, leads by
 * a Lease, and while it leads writes its name into the ConfigMap `beat`, over and over. Says what happens on stdout.
 */
import type { KubeObject } from '../../src/api/meta.ts'
import { milliseconds, seconds } from '../../src/duration.ts'
import { Fenced, reasonOf } from '../../src/errors.ts'
import { createKube } from '../../src/kube/kube.ts'
import { Leader } from '../../src/kube/leader.ts'
import { Manager } from '../../src/kube/manager.ts'
import { Probes } from '../../src/kube/probes.ts'
import { sleep } from '../../src/kube/timing.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { configMaps } from './config-maps.ts'

const [kubeconfig = '', namespace = '', identity = ''] = process.argv.slice(2)
const log = createLogger('silent')
const metrics = createMetrics()
const kube = await createKube({ credentials: { kubeconfig }, log, metrics, fieldManager: identity })
kube.informer({ type: configMaps, namespace })
const leader = new Leader({
  transport: kube.transport,
  namespace,
  name: 'operator',
  identity,
  beginEpoch: () => Promise.resolve(1n),
  log,
  metrics,
  // Long enough that a busy machine does not depose a leader, who counts as one for the lease without its margin.
  times: { lease: seconds(8), attempt: seconds(2), retry: milliseconds(300), margin: seconds(2) },
})
const manager = new Manager({ kube, leader, probes: new Probes({ kube, metrics, port: 0, host: '127.0.0.1' }), log })
manager.add({
  name: 'beat',
  leaderOnly: true,
  async start(signal) {
    console.log('leading')
    const client = kube.client(leader.fence)
    const key = `${namespace}/beat`
    const beat = async () => {
      while (!signal.aborted) {
        const patch = { data: { writer: identity, asked: String(process.hrtime.bigint()) } }
        // As a controller does: only a lost lease ends it.
        await client.mergePatch<KubeObject>(configMaps, key, patch).catch(async (error: unknown) => {
          if (error instanceof Fenced) throw error
          await sleep(milliseconds(5), signal)
        })
      }
    }
    // Several at once, so that some are under way whenever the process is stopped.
    await Promise.all([beat(), beat(), beat(), beat()])
  },
})
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
try {
  await manager.run(stop.signal)
  console.log('stopped')
  process.exit(0)
} catch (error) {
  console.log(`failed: ${reasonOf(error)}`)
  process.exit(3)
}
