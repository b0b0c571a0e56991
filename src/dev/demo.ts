/** `npm run demo`: an org of agents on this machine, from nothing to Ready, and back to nothing. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { Client } from 'pg'
import { reasonOf } from '../errors.ts'
import { prepareAgents } from './demo/agents.ts'
import { Ending, Interrupted, whenToEnd } from './demo/ending.ts'
import { agentsIn, DemoFolder, sweepEarlierDemos } from './demo/folder.ts'
import { invitation } from './demo/invitation.ts'
import { ask } from './demo/message.ts'
import { lastErrorIn, startOperator } from './demo/operator.ts'
import { readOptions, usage, type DemoOptions } from './demo/options.ts'
import { orgObjects, readOrg, runtimeObjects, type OrgFolder } from './demo/org.ts'
import { findPlace, type Place } from './demo/place.ts'
import { createScreen, type Screen } from './demo/screen.ts'
import { OrgWatch } from './demo/watch.ts'
import type { Cluster } from './cluster.ts'
import { startPostgres } from './postgres.ts'
import { freePort, type ServerProcess } from './server-process.ts'

/** From a running control plane to an org that is Ready, with --once. */
const deadline = 5 * 60_000
const farewell = 60_000

interface Stage {
  readonly place: Place
  readonly operator: ServerProcess
  readonly platformUrl: string
  readonly metricsUrl: string
  /** File of the operator's log. */
  readonly log: string
  readonly adminToken: string
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
  const interrupted = whenToEnd(process)
  interrupted.addEventListener('abort', () => screen.release())
  screen.say(`${org.title}: ${String(org.agents)} agents`)
  const ending = new Ending(screen)
  let code: number
  try {
    const stage = await setUp(options, org, screen, ending, interrupted)
    code = await perform(options, org, stage, screen, ending, interrupted)
  } catch (error) {
    code = 1
    screen.release()
    if (!interrupted.aborted) screen.say(`\n${explain(error)}`)
  }
  screen.release()
  if (interrupted.aborted) {
    code = interrupted.reason instanceof Interrupted ? 130 : 1
    // An error that nobody waited for, in whatever went on meanwhile.
    if (code === 1) screen.say(`\n${explain(interrupted.reason)}`)
  }
  screen.say('Stopping …')
  const clean = await ending.run()
  return clean ? code : 1
}

/** Everything that must run before the org can. */
async function setUp(
  options: DemoOptions,
  org: OrgFolder,
  screen: Screen,
  ending: Ending,
  interrupted: AbortSignal,
): Promise<Stage> {
  const report = (line: string) => screen.say(`  ${line}`)
  await sweepEarlierDemos(report)
  const folder = await DemoFolder.create()
  ending.add('remove the folder', () => folder.remove())
  const dir = folder.path

  const place = await findPlace(options, dir, report, interrupted)
  ending.add('leave the cluster', () => place.leave())
  const since = performance.now()
  interrupted.throwIfAborted()
  const databaseUrl = await openDatabase(dir, report, ending)
  interrupted.throwIfAborted()

  const [platformPort, healthPort] = [await freePort(), await freePort()]
  const agents = await prepareAgents(agentsIn(dir), platformPort, report)
  ending.add('remove the image', () => agents.cleanUp())
  ending.add('remove agents that were left', () => folder.removeAgents())
  const account = join(dir, 'operator.kubeconfig')
  const kubeconfig = await place.cluster.identity('molecule-system', 'molecule-operator', account)
  interrupted.throwIfAborted()
  const adminToken = randomBytes(32).toString('base64url')
  // As long as the database, which is of this demo alone.
  const secretsKey = randomBytes(32).toString('base64')
  const log = join(dir, 'operator.log')
  const operator = await startOperator({
    kubeconfig,
    databaseUrl,
    adminToken,
    secretsKey,
    agents,
    platformPort,
    healthPort,
    dir,
    log,
    report,
  })
  ending.add('stop the operator', () => operator.stop())
  await folder.noteOperator(await operatorInstance(databaseUrl), agents.engine)
  report('operator: running, with the rights of manifests/rbac and no others')
  await place.addRuntimes(runtimeObjects(org, agents.image))
  const at = (port: number) => `http://127.0.0.1:${String(port)}`
  return {
    place,
    operator,
    platformUrl: at(platformPort),
    metricsUrl: `${at(healthPort)}/metrics`,
    log,
    adminToken,
    since,
  }
}

/** A database of the demo's own, also on a server that is not: what is there already may be another operator's. */
async function openDatabase(dir: string, report: (line: string) => void, ending: Ending): Promise<string> {
  const postgres = await startPostgres({ dir: join(dir, 'postgres'), report })
  ending.add('stop PostgreSQL', () => postgres.stop())
  const name = `molecule_demo_${randomBytes(4).toString('hex')}`
  const url = await postgres.createDatabase(name)
  if (postgres.server) report('database: PostgreSQL of our own')
  else ending.add(`drop database ${name}`, () => postgres.dropDatabase(name))
  return url
}

/** Applies the org, shows it coming up, and stays until told to go. */
async function perform(
  options: DemoOptions,
  org: OrgFolder,
  stage: Stage,
  screen: Screen,
  ending: Ending,
  interrupted: AbortSignal,
): Promise<number> {
  const { operator, since } = stage
  const { cluster } = stage.place
  interrupted.throwIfAborted()
  const namespace = await stage.place.makeNamespace()
  const watch = await OrgWatch.start(cluster, namespace, org.name)
  ending.add('stop watching', () => watch.stop())
  ending.add('delete the org', () => dismiss(cluster, namespace, operator, watch))
  await cluster.apply(orgObjects(org, namespace, options.env))
  screen.say('')
  const late = AbortSignal.timeout(Math.max(1, Math.round(deadline - (performance.now() - since))))
  const enough = options.once ? AbortSignal.any([interrupted, late]) : interrupted
  const started = performance.now()
  const done = () => watch.allReady(org.agents) || !operator.running
  const ended = await watch.draw(screen, org.agents, done, enough)
  screen.release()
  if (!operator.running) throw new Error(`the operator ended by itself:\n${operator.output}`)
  if (ended === 'aborted') return interrupted.aborted ? 130 : complain(watch, operator, screen)
  screen.say(`\nAll Ready after ${((performance.now() - started) / 1000).toFixed(1)} s.`)
  const answered = await greet(stage, watch, screen)
  if (options.once) return answered ? 0 : 1
  screen.say(
    await invitation({
      cluster,
      namespace,
      org: org.name,
      victim: watch.last,
      log: stage.log,
      metricsUrl: stage.metricsUrl,
    }),
  )
  await watch.draw(screen, org.agents, () => !operator.running, interrupted)
  if (!operator.running) throw new Error(`the operator ended by itself:\n${operator.output}`)
  return 130
}

/** One message through the platform to the agent at the top, and its answer as a line. */
async function greet({ platformUrl, adminToken }: Stage, watch: OrgWatch, screen: Screen): Promise<boolean> {
  const { uid, displayName } = watch.top
  try {
    const answer = await ask({ platformUrl, adminToken, workspaceId: uid }, 'Good morning!')
    screen.say(`${displayName} answers: “${answer}”`)
    return true
  } catch (error) {
    screen.say(`${displayName} does not answer: ${reasonOf(error)}`)
    return false
  }
}

function complain(watch: OrgWatch, operator: ServerProcess, screen: Screen): number {
  screen.say(`\nNot Ready after ${String(deadline / 60_000)} minutes: ${watch.explain()}`)
  const error = lastErrorIn(operator.output)
  if (error !== undefined) screen.say(`The operator's last error: ${error}`)
  return 1
}

/** Deletes the org and waits until the operator has taken every instance of it away. */
async function dismiss(cluster: Cluster, namespace: string, operator: ServerProcess, watch: OrgWatch): Promise<void> {
  if (!operator.running) return
  await cluster.kubectl(['delete', 'org,ws', '--all', '-n', namespace, '--wait=false'])
  const ended = await watch.draw(mute, 0, () => watch.isGone || !operator.running, AbortSignal.timeout(farewell))
  if (ended === 'aborted') throw new Error(`some agents did not go by themselves within ${String(farewell / 1000)} s`)
}

const mute: Screen = { say: () => {}, show: () => {}, release: () => {} }

/** The mark on everything the operator of this database makes. It has migrated it. */
async function operatorInstance(databaseUrl: string): Promise<string> {
  const client = new Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    const { rows } = await client.query<{ instance: string }>('SELECT instance FROM operator_meta')
    const [row] = rows
    if (!row) throw new Error('the operator gave its database no name')
    return row.instance
  } finally {
    await client.end()
  }
}

/** On several lines only what was meant to be: the output of a server, or the list of what was tried. */
function explain(error: unknown): string {
  return error instanceof Error && error.message.includes('\n') ? error.message : reasonOf(error)
}

try {
  // Nothing that is still under way, a download for one, may keep it.
  process.exit(await main())
} catch (error) {
  console.error(explain(error))
  process.exit(1)
}
