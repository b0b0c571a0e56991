/** What happens to single containers on an engine, by accident or by somebody's hand. Seconds count from its end to rest. */
import { writeFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import type Dockerode from 'dockerode'
import type { Workspace } from '../../src/api/workspace.ts'
import { reasonOf } from '../../src/errors.ts'
import { until } from '../support/until.ts'
import { acts, makeRuntime, workspace } from './acts.ts'
import { liveOf, sameAs, unready } from './ends.ts'
import type { OperatorProcess } from './operator-process.ts'
import { findEngine, onEngine, type Stage } from './stage.ts'
import { judged, type Line } from './table.ts'
import type { Seen, World } from './world.ts'

interface Scene {
  readonly world: World
  readonly docker: Dockerode
  readonly operator: OperatorProcess
  readonly before: Seen
}

interface Outcome {
  /** On the monotonic clock. */
  readonly over: number
  readonly said: string
  /** Instances that an accident of this kind costs. */
  readonly creates: number
  /** Those that are not to have the instance they had before. */
  readonly replaced: readonly string[]
}

export interface Accident {
  readonly fault: string
  readonly backend: 'docker'
  readonly bar: number
  readonly play: (scene: Scene) => Promise<Outcome>
}

const pair = ['lead', 'hand']
const bar = 15
const limits = { quiet: 2_000, within: 60_000 }
const accidentOf = (fault: string, play: Accident['play']): Accident => ({ fault, backend: 'docker', bar, play })

export const accidents: readonly Accident[] = [
  accidentOf('container out of memory', outOfMemory),
  accidentOf('container crash-looping', crashLoop),
  accidentOf('container removed by hand', removed),
  accidentOf('volume removed by hand', volumeRemoved),
  accidentOf('image gone', imageGone),
  accidentOf('name taken by a foreign container', nameTaken),
]

export async function accident(stage: Stage, { fault, play, bar: most }: Accident): Promise<Line> {
  const line = { fault, where: 'docker' }
  const engine = await findEngine()
  if (engine === undefined) return { ...line, end: 'NO DOCKER ENGINE ANSWERS', duplicates: 0, verdict: 'SKIPPED' }
  const { plane, place } = await stage.controlPlane({ image: engine.image })
  const world = await stage.world(place, onEngine(engine))
  try {
    const operator = await world.start()
    await operator.ready()
    const empty = await world.look()
    await acts.create.begin(world, empty)
    const { seen: before } = await world.rest((seen) => acts.create.missing(seen, empty), limits)
    const made = total(world)
    const { over, said, creates, replaced } = await play({ world, docker: engine.docker, operator, before })
    const changed = (seen: Seen) => replaced.map((name) => sameAs(seen, before, name)).find(Boolean)
    const { at } = await world.rest((seen) => changed(seen) ?? unready(seen, pair), limits)
    return judged({
      ...line,
      end: said,
      creates: { counted: total(world) - made, undisturbed: creates },
      duplicates: world.doubled.size,
      seconds: Math.max(0, at - over) / 1_000,
      bar: most,
    })
  } catch (error) {
    const [end, said] = [reasonOf(error), world.lastWords]
    return { ...line, end, duplicates: world.doubled.size, verdict: 'SHORT', said }
  } finally {
    await world.close()
    await plane.stop()
  }
}

const total = (world: World) => [...world.instances.creates().values()].reduce((sum, count) => sum + count, 0)
const find = async (world: World, name: string) =>
  (await world.ask('GET', world.pathOf('workspaces', name))) as Workspace
const edit = (world: World, name: string, patch: object) => world.ask('PATCH', world.pathOf('workspaces', name), patch)
const reasonOfReady = ({ status }: Workspace) => status?.conditions?.find(({ type }) => type === 'Ready')?.reason
const uidOf = ({ workspaces }: Seen, name: string) =>
  workspaces.find(({ metadata }) => metadata.name === name)?.metadata.uid ?? ''
const look = (world: World, name: string) =>
  edit(world, name, { metadata: { annotations: { 'molecule.dev/reconcile-requested-at': String(performance.now()) } } })

/** The kernel is told to choose the agent itself, not the one that takes the memory. */
async function outOfMemory({ world, docker, before }: Scene): Promise<Outcome> {
  const [id = ''] = liveOf(before, 'lead')
  const container = docker.getContainer(id)
  await container.update({ Memory: 256 * 2 ** 20, MemorySwap: 256 * 2 ** 20 })
  const { State } = await container.inspect()
  await writeFile(`/proc/${State.Pid}/oom_score_adj`, '1000')
  const eat = 'const all = []; for (;;) all.push(Buffer.alloc(8 << 20, 1))'
  const eater = await container.exec({ Cmd: ['/usr/bin/node', '-e', eat] })
  await eater.start({ Detach: true })
  await until(async () => (await world.look()).rows.some(({ status }) => status === 'offline'), { every: 20 })
  const over = performance.now()
  const failure = await until(async () => (await find(world, 'lead')).status?.lastFailure)
  if (failure.exitCode !== 137) throw new Error(`the failure says ${JSON.stringify(failure)}`)
  return { over, said: 'told with its exit code, started anew', creates: 1, replaced: ['lead'] }
}

/** Node ends at once, before the agent: for thirty seconds, with ever longer waits between. */
async function crashLoop({ world }: Scene): Promise<Outcome> {
  const made = total(world)
  await edit(world, 'lead', { spec: { env: [{ name: 'NODE_OPTIONS', value: '--require=/nowhere.js' }] } })
  const told = async () => ['InstanceExited', 'BackingOff'].includes(reasonOfReady(await find(world, 'lead')) ?? '')
  await until(told, { what: 'the status to say that it ends', within: 20_000 })
  await wait(30_000)
  const attempts = total(world) - made
  if (attempts > 5) throw new Error(`${attempts} launches within half a minute`)
  const { status } = await find(world, 'lead')
  if (!status?.lastFailure?.logTail?.includes('/nowhere.js')) throw new Error('the last words are not in the status')
  await edit(world, 'lead', { spec: { env: null } })
  const over = performance.now()
  return {
    over,
    said: `${attempts} launches in 30 s, cause in status, mended`,
    creates: attempts + 1,
    replaced: ['lead'],
  }
}

async function removed({ docker, before }: Scene): Promise<Outcome> {
  for (const id of liveOf(before, 'lead')) await docker.getContainer(id).remove({ force: true })
  return { over: performance.now(), said: 'made anew', creates: 1, replaced: ['lead'] }
}

/** While the operator stands still, since a volume in use cannot be removed. */
async function volumeRemoved({ world, operator, before }: Scene): Promise<Outcome> {
  operator.send('SIGSTOP')
  await world.instances.discard(uidOf(before, 'lead'))
  operator.send('SIGCONT')
  return { over: performance.now(), said: 'made anew, with its files', creates: 1, replaced: ['lead'] }
}

async function imageGone({ world, docker }: Scene): Promise<Outcome> {
  const made = total(world)
  await makeRuntime(world, world.namespace)
  await edit(world, 'lead', { spec: { runtime: world.namespace } })
  await until(() => total(world) > made, { what: 'the lead to run the other image', within: 20_000 })
  const { seen } = await world.rest((now) => unready(now, pair), limits)
  const { status } = await find(world, 'lead')
  const image = status?.image?.ref ?? ''
  const { Id } = await docker.getImage(image).inspect()
  await docker.getImage(image).remove()
  for (const id of liveOf(seen, 'lead')) await docker.getContainer(id).kill()
  await until(async () => (await find(world, 'lead')).status?.summary?.includes('is not on the Docker host'), {
    what: 'the status to name the image',
    within: 20_000,
  })
  const [repo = '', tag = ''] = image.split(':')
  await docker.getImage(Id).tag({ repo, tag })
  const over = performance.now()
  await look(world, 'lead')
  return { over, said: 'told; back once the image is and somebody asks', creates: 2, replaced: ['lead'] }
}

async function nameTaken({ world, docker, before }: Scene): Promise<Outcome> {
  await world.place.cluster.apply([workspace(world, 'late', { suspend: true })])
  const { uid } = (await find(world, 'late')).metadata
  const [image] = await docker.listImages({ filters: { reference: ['molecule-faults'] } })
  const foreign = await docker.createContainer({ name: `ws-${uid}`, Image: image?.Id ?? '' })
  try {
    await edit(world, 'late', { spec: { suspend: false } })
    await until(async () => (await find(world, 'late')).status?.summary?.includes("not this operator's"), {
      what: 'the status to say whose name it is',
      within: 20_000,
    })
    const { State } = await foreign.inspect()
    if (State.Status !== 'created') throw new Error(`the foreign container is ${State.Status}`)
  } finally {
    await foreign.remove({ force: true })
  }
  const over = performance.now()
  await look(world, 'late')
  await world.rest((seen) => unready(seen, ['late']), limits)
  const after = await world.look()
  if (pair.some((name) => sameAs(after, before, name) === undefined)) throw new Error('others were touched')
  return { over, said: 'told, never touched; made once the name is free', creates: 1, replaced: [] }
}
