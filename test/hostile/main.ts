/** `npm run hostile`: what one tenant's load costs another, as a table. */
import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildBundle } from '../../src/dev/bundle.ts'
import { freePort } from '../../src/dev/server-process.ts'
import { OperatorProcess } from '../faults/operator-process.ts'
import { freshName, Stage } from '../faults/stage.ts'
import { loneGroup } from './cpu-group.ts'
import type { FloodOrder, FloodReport } from './flood.ts'
import { measure, type Measured } from './measure.ts'
import { administrator, settle } from './tenant.ts'

const usage = `npm run hostile -- [options]
  --seconds 20       of each phase: idle, beside requests to the platform, beside ConfigMaps
  --workspaces 100   of the tenant that is measured
  --only PATTERN     kinds of load whose name matches this regular expression, in one phase
`
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    workspaces: { type: 'string', default: '100' },
    only: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  process.stdout.write(usage)
  process.exit()
}
for (const name of ['seconds', 'workspaces'] as const)
  if (!/^[1-9]\d{0,2}$/.test(values[name]))
    throw new RangeError(`--${name} is a number from 1 to 999, not "${values[name]}"`)
const [seconds, size] = [Number(values.seconds), Number(values.workspaces)]
/** ConfigMaps apart: the API server pays for them, so that they are judged by the operator's memory alone. */
const phases = values.only === undefined ? ['^(?!ConfigMaps)', '^ConfigMaps'] : [values.only]
const report = (line: string): void => void process.stderr.write(`${line}\n`)

await using stage = await Stage.open(report)
const { plane, place } = await stage.controlPlane()
const port = String(await freePort())
const adminToken = randomBytes(32).toString('hex')
const settings = {
  KUBECONFIG: place.kubeconfig,
  DATABASE_URL: await stage.postgres.createDatabase(freshName()),
  ADMIN_TOKEN: adminToken,
  SECRETS_KEY: randomBytes(32).toString('base64'),
  BACKENDS: 'external',
  // Where the agent is that never answers.
  AGENT_NETWORKS: '127.0.0.0/8',
  PLATFORM_HOST: '127.0.0.1',
  PLATFORM_PORT: port,
  LOG_LEVEL: 'error',
}
// As it is shipped: types that are stripped at the start take memory of their own.
const operator = await OperatorProcess.start(settings, await buildBundle())
const { ask, close } = await administrator(place.cluster.kubeconfig)
try {
  await operator.ready()
  const platform = `http://127.0.0.1:${port}`
  const agents = await settle(ask, platform, adminToken, 'quiet', size)
  const hostile = await settle(ask, platform, adminToken, 'hostile', 8)
  const quiet = { ask, platform, namespace: 'quiet', agents }
  report(`  ${size} Workspaces beside 8 of a hostile tenant, ${seconds} s a phase`)
  const idle = await measure(quiet, operator.pid, seconds)
  for (const only of phases) {
    const child = fork(join(import.meta.dirname, 'flood.ts'))
    const group = await loneGroup(child.pid ?? 0)
    report(`  ${group.said}`)
    const exited = once(child, 'exit')
    const told = Promise.race([once(child, 'message'), exited]) as Promise<[FloodReport]>
    const kubeconfig = place.cluster.kubeconfig
    const order = { platform, kubeconfig, namespace: 'hostile', agents: hostile, seconds: seconds + 2, only }
    child.send(order satisfies FloodOrder)
    const beside = await measure(quiet, operator.pid, seconds)
    const [sent] = await told
    await exited
    await group.leave()
    process.stdout.write(`${table(idle, beside)}\n\n`)
    for (const [kind, what] of Object.entries(sent)) process.stdout.write(`${kind}: ${what}\n`)
    process.stdout.write('\n')
  }
  if (operator.exit !== undefined) throw new Error(`the operator ended:\n${operator.tail}`)
} finally {
  close()
  await operator.end('SIGTERM')
  await plane.stop()
}

function table(idle: Measured, beside: Measured): string {
  const ms = (time: number) => `${time.toFixed(1)} ms`
  const rows = (['heartbeat', 'message', 'edit'] as const).map((what) => {
    const [before, now] = [idle.p99[what], beside.p99[what]]
    return `| ${what} | ${ms(before)} | ${ms(now)} | ×${(now / before).toFixed(2)} | |`
  })
  return [
    '| what | p99 idle | p99 beside | ratio | RSS |',
    '|---|---|---|---|---|',
    ...rows,
    `| refused or lost | ${idle.failed} | ${beside.failed} | | |`,
    `| memory of the operator | ${idle.rss.toFixed(0)} MiB | ${beside.rss.toFixed(0)} MiB | | ${beside.rss.toFixed(0)} MiB |`,
  ].join('\n')
}
