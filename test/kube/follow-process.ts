/** `followed` follows what is referred to in a fault server, `informer` all of it: node follow-process.ts URL WHAT. Prints what it took. */
import { milliseconds } from '../../src/duration.ts'
import { Allowance } from '../../src/kube/allowance.ts'
import { Followed } from '../../src/kube/followed.ts'
import { Informer } from '../../src/kube/informer.ts'
import { sleep } from '../../src/kube/timing.ts'
import { Transport } from '../../src/kube/transport.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { things, type Thing } from './fault-server.ts'

const [, , server = '', what = 'followed'] = process.argv
const metrics = createMetrics()
const transport = new Transport({
  credentials: { server, namespace: 'here', load: () => Promise.resolve({}) },
  metrics,
  log: createLogger('silent'),
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
const informer = new Informer<Thing>(
  { type: things, allowance: new Allowance({ perNamespace: 32 * 1024 * 1024, total: 128 * 1024 * 1024, always: 0 }) },
  { transport, log: createLogger('silent'), metrics },
)
const before = process.memoryUsage.rss()
let most = before
const stop = new AbortController()
if (what === 'followed') followed.start(stop.signal)
else void informer.start(stop.signal)
/** What there is to see once all is read. */
const seen = (): number | undefined => {
  if (what === 'informer') return informer.cache.hasSynced ? informer.cache.size : undefined
  const wanted = followed.look('here', 'wanted')
  return wanted.state === 'found' ? wanted.object.spec.n : undefined
}
for (;;) {
  most = Math.max(most, process.memoryUsage.rss())
  const n = seen()
  if (n !== undefined) {
    process.stdout.write(JSON.stringify({ n, grown: most - before }))
    break
  }
  await sleep(milliseconds(5))
}
stop.abort()
await transport.close()
