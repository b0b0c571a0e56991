/** The platform in a process of its own, so that its memory is measured alone. Says its port; at any word, its peak in bytes. */
import { pino } from 'pino'
import { createPlatform } from '../../src/platform/server.ts'
import { openStore } from '../../src/store/postgres/open.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'

process.once('message', (databaseUrl: string) => void serve(databaseUrl))

async function serve(databaseUrl: string): Promise<void> {
  const metrics = createMetrics()
  const log = pino({ level: 'silent' })
  const { agents } = openStore({ databaseUrl, lease: 'test', metrics, log })
  const platformUrl = 'https://molecule.test/'
  const platform = createPlatform({ agents, adminToken: undefined, openNetworks: [], platformUrl, log, metrics })
  const { port } = await platform.listen(new AbortController().signal, { host: '127.0.0.1', port: 0 })
  process.on('message', () => process.send?.(process.resourceUsage().maxRSS * 1024))
  process.send?.(port)
}
