/** Follows what is referred to in one namespace of a fault server: node follow-process.ts URL. Prints what it took. */
import { milliseconds } from '../../src/duration.ts'
import { Allowance } from '../../src/kube/allowance.ts'
import { Followed } from '../../src/kube/followed.ts'
import { sleep } from '../../src/kube/timing.ts'
import { Transport } from '../../src/kube/transport.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { things, type Thing } from './fault-server.ts'

const [, , server = ''] = process.argv
const metrics = createMetrics()
const transport = new Transport({
  credentials: { server, namespace: 'here', load: () => Promise.resolve({}) },
  metrics,
})
const followed = new Followed<Thing>(
  {
    type: things,
    allowance: new Allowance({ perNamespace: 32 * 1024 * 1024, total: 128 * 1024 * 1024, always: 0 }),
    referred: (key) => key === 'here/wanted',
    concerned: () => true,
  },
  { transport, log: createLogger('silent'), metrics },
)
const before = process.memoryUsage.rss()
let most = before
const stop = new AbortController()
followed.start(stop.signal)
for (;;) {
  most = Math.max(most, process.memoryUsage.rss())
  const seen = followed.look('here', 'wanted')
  if (seen.state === 'found') {
    process.stdout.write(JSON.stringify({ n: seen.object.spec.n, grown: most - before }))
    break
  }
  await sleep(milliseconds(5))
}
stop.abort()
await transport.close()
