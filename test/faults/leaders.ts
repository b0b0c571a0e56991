/** Two operators, of which one leads; and one that is asked to go in the middle of its work. */
import { setTimeout as wait } from 'node:timers/promises'
import { join } from 'node:path'
import type { ControlPlane } from '../../src/dev/control-plane.ts'
import { freePort } from '../../src/dev/server-process.ts'
import { reasonOf } from '../../src/errors.ts'
import { until } from '../support/until.ts'
import { requestsOf, tokenId } from './audit.ts'
import { Load } from './load.ts'
import type { OperatorProcess } from './operator-process.ts'
import type { Options } from './options.ts'
import type { Stage } from './stage.ts'
import { judged, type Line } from './table.ts'
import type { World } from './world.ts'

interface Scene {
  readonly world: World
  readonly plane: ControlPlane
  readonly load: Load
  readonly options: Options
}

export interface Handover {
  readonly fault: string
  readonly quick?: boolean
  play(scene: Scene): Promise<Omit<Line, 'fault' | 'where' | 'duplicates' | 'verdict' | 'creates'>>
}

const size = 40
const takeover = 20
const stopping = 10

export const handovers: readonly Handover[] = [
  { fault: 'leader frozen and thawed beside a second', play: frozen },
  { fault: 'leader killed beside a second', play: killed },
  { fault: 'SIGTERM under load, then another', quick: true, play: asked },
]

export async function handover(stage: Stage, change: Handover, options: Options): Promise<Line> {
  const line = { fault: change.fault, where: 'process' }
  const { plane, place } = await stage.controlPlane({ audit: true })
  const world = await stage.world(place, () => stage.processes())
  const load = new Load(world, size)
  try {
    const found = await change.play({ world, plane, load, options })
    await load.stop()
    await world.rest((seen) => load.missing(seen), { quiet: options.quiet * 1_000, within: 90_000 })
    const counted = [...world.instances.creates().values()].reduce((sum, count) => sum + count, 0)
    const creates = { counted, undisturbed: load.size }
    return judged({ ...line, ...found, creates, duplicates: world.doubled.size })
  } catch (error) {
    const [end, said] = [reasonOf(error), world.lastWords]
    return { ...line, end, duplicates: world.doubled.size, verdict: 'SHORT', said }
  } finally {
    await load.stop()
    await world.close()
    await plane.stop()
  }
}

/** Nothing of the thawed one may come through: not to the API server, not to a row, not to an instance. */
async function frozen({ world, plane, load, options }: Scene) {
  const { first, second, token } = await two(world, plane)
  load.start()
  await working(world)
  const epoch = await epochOf(world)
  first.send('SIGSTOP')
  const stoppedAt = performance.now()
  const seconds = await untilLed(world, epoch, stoppedAt)
  await wait(Math.max(0, options.outage * 1_000 - (performance.now() - stoppedAt)))
  const thawedAt = new Date()
  const before = (await world.look()).rows.filter((row) => row.leader_epoch === String(epoch))
  first.send('SIGCONT')
  await endsAs(first, 3)
  await load.stop()
  const after = (await world.look()).rows.filter((row) => row.leader_epoch === String(epoch))
  const written = after.filter((row) => !before.some((one) => JSON.stringify(one) === JSON.stringify(row)))
  if (written.length > 0) throw new Error(`${written.length} rows were written under the old epoch after the thaw`)
  if ((await requestsOf(plane.auditLog, token)).effects.length === 0) throw new Error('the audit knows nothing of it')
  const { effects } = await requestsOf(plane.auditLog, token, thawedAt)
  if (effects.length > 0) throw new Error(`the thawed one wrote: ${effects.join(', ')}`)
  if (second.exit !== undefined) throw new Error('the second one ended as well')
  return { end: 'thawed: no write, no row, exit 3; the second led', seconds, bar: takeover }
}

/** A thawed leader must end by itself, saying that it was fenced. */
export async function endsAs(operator: OperatorProcess, code: number): Promise<void> {
  // Its stop has ten seconds of its own, on a machine that may be busy.
  const exit = await Promise.race([operator.exited, wait(3 * stopping * 1_000, undefined)])
  if (exit?.code !== code)
    throw new Error(`the thawed one ended with ${exit?.code ?? exit?.signal ?? 'nothing'}, not with ${code}`)
}

async function killed({ world, plane, load }: Scene) {
  const { first } = await two(world, plane)
  load.start()
  await working(world)
  const epoch = await epochOf(world)
  const { at } = await first.end('SIGKILL')
  return { end: 'the second led', seconds: await untilLed(world, epoch, at), bar: takeover }
}

async function asked({ world, plane, load }: Scene) {
  const elected = { LEADER_ELECT: 'true' }
  const first = await world.start(elected)
  await first.ready()
  load.start()
  await working(world)
  const askedAt = performance.now()
  const exit = await first.end('SIGTERM')
  const seconds = (exit.at - askedAt) / 1_000
  if (exit.code !== 0) throw new Error(`it ended with ${exit.code ?? exit.signal}: ${first.tail}`)
  const lease = ['get', 'lease', world.namespace, '-n', world.namespace, '-o', 'jsonpath={.spec.holderIdentity}']
  const holder = await plane.kubectl(lease)
  if (holder !== '') throw new Error(`the lease is still held by ${holder}`)
  const second = await world.start(elected)
  await second.ready()
  return { end: 'drained, exit 0, lease released, the next went on', seconds, bar: stopping }
}

/** Two operators with a token each, by which the audit tells them apart. Agents talk to the second all the time. */
export async function two(
  world: World,
  plane: Pick<ControlPlane, 'identity' | 'dir'>,
  env: Readonly<Record<string, string>> = {},
): Promise<{ first: OperatorProcess; second: OperatorProcess; token: string }> {
  const elected = { LEADER_ELECT: 'true' }
  const path = join(plane.dir, `first-${world.namespace}`)
  // One that was there before left its own.
  const epoch = await epochOf(world).catch(() => 0n)
  await plane.identity('molecule-system', 'molecule-operator', path)
  const first = await world.start({ ...elected, ...env, KUBECONFIG: path, PLATFORM_PORT: String(await freePort()) })
  await until(async () => (await epochOf(world)) > epoch, { what: 'the first to lead', within: 40_000 })
  const second = await world.start(elected)
  await second.ready()
  return { first, second, token: await tokenId(path) }
}

export async function epochOf(world: World): Promise<bigint> {
  const [row] = await world.query<{ epoch: string }>('SELECT epoch FROM leaders WHERE lease = $1', [world.namespace])
  return BigInt(row?.epoch ?? 0)
}

const working = (world: World) =>
  world.rest((seen) => (seen.live.size < 5 ? 'no load yet' : undefined), { quiet: 0, within: 60_000 })

/** Seconds until a later epoch has written its first row. */
async function untilLed(world: World, epoch: bigint, since: number): Promise<number> {
  const newer = async () => (await world.look()).rows.some((row) => BigInt(row.leader_epoch) > epoch)
  await until(newer, { what: 'the second to write', within: 60_000 })
  return (performance.now() - since) / 1_000
}
