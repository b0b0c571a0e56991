/** `npm run demo`: an org of agents on this machine, from nothing to Ready, and back to nothing. */
import { randomBytes } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { reasonOf } from '../errors.ts'
import { prepareAgents } from './demo/agents.ts'
import { startOperator } from './demo/operator.ts'
import { readOptions, usage, type DemoOptions } from './demo/options.ts'
import { orgObjects, readOrg, runtimeObjects, type OrgFolder } from './demo/org.ts'
import { findPlace } from './demo/place.ts'
import { createScreen, type Screen } from './demo/screen.ts'
import { OrgWatch } from './demo/watch.ts'
import type { Cluster } from './cluster.ts'
import { startPostgres } from './postgres.ts'
import { freePort, type ServerProcess } from './server-process.ts'

const namespace = 'demo'
/** From a running control plane to an org that is Ready, with --once. */
const deadline = 5 * 60_000
const farewell = 60_000

interface Stage {
  readonly cluster: Cluster
  readonly operator: ServerProcess
  readonly agents: string
  readonly since: number
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2), process.env)
  if (!options) {
    console.log(usage)
    return 0
  }
  const screen = createScreen(process.stdout)
  const org = await readOrg(options.org, options.env)
  const interrupt = new AbortController()
  listen(interrupt, screen)
  screen.say(`${org.title}: ${String(org.agents)} agents`)
  await using stack = new AsyncDisposableStack()
  try {
    const stage = await setUp(options, org, screen, stack, interrupt.signal)
    return await perform(options, org, stage, screen, stack, interrupt.signal)
  } catch (error) {
    if (interrupt.signal.aborted) return 130
    screen.say(`\n${explain(error)}`)
    return 1
  } finally {
    screen.release()
    screen.say('Stopping …')
  }
}

/** Ctrl-C once ends in order; twice, at once: what the reapers of our servers cannot reach then stays. */
function listen(interrupt: AbortController, screen: Screen): void {
  const stop = () => {
    if (interrupt.signal.aborted) process.exit(130)
    interrupt.abort(new Error('interrupted'))
    screen.release()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  process.on('SIGHUP', stop)
}

/** Everything that must run before the org can. What is started is given to the stack at once. */
async function setUp(
  options: DemoOptions,
  org: OrgFolder,
  screen: Screen,
  stack: AsyncDisposableStack,
  interrupted: AbortSignal,
): Promise<Stage> {
  const report = (line: string) => screen.say(`  ${line}`)
  const dir = join(tmpdir(), `molecule-demo-${randomBytes(4).toString('hex')}`)
  // PostgreSQL may run as another user, who has to get through; what is secret is closed one by one.
  await mkdir(dir, { mode: 0o711 })
  stack.defer(() => rm(dir, { recursive: true, force: true }))

  const place = await findPlace(options, dir, report)
  stack.defer(() => place.leave())
  const since = performance.now()
  interrupted.throwIfAborted()
  const postgres = await startPostgres({ dir: join(dir, 'postgres'), report })
  stack.defer(() => postgres.stop())
  const databaseUrl = postgres.server ? await postgres.createDatabase('molecule') : postgres.url
  if (postgres.server) report('database: PostgreSQL of our own')
  interrupted.throwIfAborted()

  const platformPort = await freePort()
  const agents = await prepareAgents(dir, platformPort, report)
  stack.defer(async () => agents.cleanUp(await operatorInstance(databaseUrl)))
  const kubeconfig = await place.cluster.identity(
    'molecule-system',
    'molecule-operator',
    join(dir, 'operator.kubeconfig'),
  )
  interrupted.throwIfAborted()
  const operator = await startOperator({ kubeconfig, databaseUrl, agents, platformPort, dir, report })
  stack.defer(() => operator.stop())
  report('operator: running, with the rights of manifests/rbac and no others')
  await place.cluster.apply(runtimeObjects(org, agents.image))
  stack.defer(() => deleteRuntimes(place.cluster))
  return { cluster: place.cluster, operator, agents: agents.kind, since }
}

/** Applies the org, shows it coming up, and stays until told to go. */
async function perform(
  options: DemoOptions,
  org: OrgFolder,
  { cluster, operator, since }: Stage,
  screen: Screen,
  stack: AsyncDisposableStack,
  interrupted: AbortSignal,
): Promise<number> {
  await cluster.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }])
  const watch = await OrgWatch.start(cluster, namespace, org.name)
  stack.defer(() => watch.stop())
  stack.defer(() => dismiss(cluster, operator, watch, screen))
  await cluster.apply(orgObjects(org, namespace, options.env))
  screen.say('')
  const late = AbortSignal.timeout(Math.max(1, Math.round(deadline - (performance.now() - since))))
  const enough = options.once ? AbortSignal.any([interrupted, late]) : interrupted
  const started = performance.now()
  const done = () => watch.allReady(org.agents) || !operator.running
  const ended = await watch.draw(screen, org.agents, done, enough)
  screen.release()
  if (!operator.running) throw new Error(`the operator ended by itself:\n${operator.output}`)
  if (ended === 'aborted') return interrupted.aborted ? 130 : complain(watch, screen)
  screen.say(`\nAll Ready after ${((performance.now() - started) / 1000).toFixed(1)} s.`)
  if (options.once) return 0
  screen.say(invitation(cluster, org))
  await watch.draw(screen, org.agents, () => !operator.running, interrupted)
  if (!operator.running) throw new Error(`the operator ended by itself:\n${operator.output}`)
  return 0
}

function complain(watch: OrgWatch, screen: Screen): number {
  screen.say(`\nNot Ready after ${String(deadline / 60_000)} minutes: ${watch.explain()}`)
  return 1
}

const invitation = (cluster: Cluster, org: OrgFolder) => `
In another terminal:

  export KUBECONFIG=${cluster.kubeconfig}
  kubectl get molecule -n ${namespace}
  kubectl describe org ${org.name} -n ${namespace}
  kubectl explain workspace.spec

Ctrl-C stops everything and leaves nothing behind.
`

/** Deletes the org and waits until the operator has taken every instance of it away. */
async function dismiss(cluster: Cluster, operator: ServerProcess, watch: OrgWatch, screen: Screen): Promise<void> {
  await cluster.kubectl(['delete', 'org,ws', '--all', '-n', namespace, '--wait=false'])
  const ended = await watch.draw(mute, 0, () => watch.isGone || !operator.running, AbortSignal.timeout(farewell))
  if (ended === 'aborted') screen.say(`  some agents did not go by themselves within ${String(farewell / 1000)} s`)
  await cluster.kubectl(['delete', 'namespace', namespace, '--wait=false'])
}

const mute: Screen = { say: () => {}, show: () => {}, release: () => {} }

async function deleteRuntimes(cluster: Cluster): Promise<void> {
  await cluster.kubectl(['delete', 'rt', '--all', '--wait=true', '--timeout=20s'])
}

/** The mark on everything an operator of this database made in a Docker engine. */
async function operatorInstance(databaseUrl: string): Promise<string> {
  const client = new Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    // An operator that did not come to migrate made nothing.
    const { rows: known } = await client.query("SELECT WHERE to_regclass('operator_meta') IS NOT NULL")
    if (known.length === 0) return 'none'
    const { rows } = await client.query<{ instance: string }>('SELECT instance FROM operator_meta')
    return rows[0]?.instance ?? 'none'
  } finally {
    await client.end()
  }
}

/** On several lines only what was meant to be: the output of a server, or the list of what was tried. */
function explain(error: unknown): string {
  return error instanceof Error && error.message.includes('\n') ? error.message : reasonOf(error)
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(explain(error))
  process.exitCode = 1
}
