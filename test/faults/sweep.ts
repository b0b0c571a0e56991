/** kill -9 after each side effect: the end must be that of a run which nobody disturbed. */
import { isDeepStrictEqual } from 'node:util'
import type { Failpoint } from '../../src/failpoint.ts'
import { reasonOf } from '../../src/errors.ts'
import { acts, course, type ActName } from './acts.ts'
import { approvedSteps } from './approval.ts'
import { endState, gone, liveOf, nameOf, removeAll } from './ends.ts'
import type { OperatorProcess } from './operator-process.ts'
import { judged, type Line } from './table.ts'
import type { Seen, World } from './world.ts'

/** Where the operator dies: at the Nth time that the point is reached in this act. */
export interface Kill {
  readonly point: Failpoint
  readonly act: ActName
  readonly nth?: number
  /** Only this backend has the place, or it has nothing to do with backends. */
  readonly only?: 'docker' | 'process'
}

/** Every failpoint, in each act whose course it can change. */
export const kills: readonly Kill[] = [
  { point: 'claimed', act: 'create' },
  { point: 'recorded', act: 'create' },
  { point: 'recorded', act: 'create', nth: 3 },
  { point: 'parted', act: 'create', only: 'process' },
  { point: 'launching', act: 'create' },
  { point: 'launching', act: 'replace' },
  { point: 'created', act: 'create', only: 'docker' },
  { point: 'delivered', act: 'create', only: 'docker' },
  { point: 'created', act: 'replace', only: 'docker' },
  { point: 'ensured', act: 'create' },
  { point: 'ensured', act: 'create', nth: 2 },
  { point: 'ensured', act: 'replace' },
  { point: 'ensured', act: 'crash' },
  { point: 'observed', act: 'create' },
  { point: 'observed', act: 'replace' },
  { point: 'reported', act: 'create', nth: 2 },
  { point: 'reported', act: 'replace' },
  { point: 'failed', act: 'crash' },
  { point: 'removed', act: 'replace' },
  { point: 'removed', act: 'crash' },
  { point: 'prepared', act: 'replace' },
  { point: 'prepared', act: 'switch', only: 'docker' },
  { point: 'removed', act: 'pause' },
  { point: 'rested', act: 'pause' },
  { point: 'rested', act: 'pause', nth: 2, only: 'process' },
  { point: 'launching', act: 'resume' },
  { point: 'ensured', act: 'resume', nth: 2 },
  { point: 'hibernating', act: 'hibernate' },
  { point: 'removed', act: 'hibernate' },
  { point: 'rested', act: 'hibernate' },
  { point: 'launching', act: 'wake' },
  { point: 'ensured', act: 'wake' },
  { point: 'tombstoned', act: 'remove' },
  { point: 'erased', act: 'remove' },
  { point: 'cascaded', act: 'cascade', only: 'process' },
  { point: 'tombstoned', act: 'cascade', nth: 2 },
  { point: 'erased', act: 'cascade' },
  { point: 'leaked', act: 'give up', only: 'process' },
  { point: 'adopted', act: 'adopt', only: 'docker' },
  { point: 'claimed', act: 'import' },
  { point: 'filed', act: 'import', only: 'process' },
  { point: 'applied', act: 'import' },
  { point: 'equipped', act: 'import', only: 'process' },
  { point: 'filed', act: 'reimport', only: 'process' },
  { point: 'applied', act: 'reimport', only: 'process' },
  { point: 'applied', act: 'reimport', nth: 2, only: 'process' },
  { point: 'equipped', act: 'reimport', only: 'process' },
  { point: 'pruned', act: 'reimport', only: 'process' },
  { point: 'released', act: 'release', only: 'process' },
  { point: 'released', act: 'release', nth: 2, only: 'process' },
  ...Object.entries(approvedSteps).flatMap(([point, times]) =>
    Array.from({ length: times }, (_, i): Kill => ({
      point: point as Failpoint,
      act: 'approve',
      nth: i + 1,
      only: 'process',
    })),
  ),
]

export const labelOf = ({ point, act, nth = 1 }: Kill): string =>
  `kill -9 at ${point}${nth > 1 ? `:${nth}` : ''}, ${act}`

/** Seconds allowed from the restart to rest. */
export const bar = 15
const limits = { quiet: 1_500, within: 60_000 }

/** What an act comes to when nothing goes wrong. */
interface Course {
  readonly state: Readonly<Record<string, string>>
  readonly creates: number
}
export type Undisturbed = Readonly<Partial<Record<ActName, Course>>>

/** Plays all acts without a fault, or what leads to those wanted; and takes away what is left. */
export async function undisturbed(world: World, wanted: ReadonlySet<ActName> = new Set(course)): Promise<Undisturbed> {
  const needed = new Set([...wanted].flatMap((name) => acts[name].after.concat(name)))
  const courses: Partial<Record<ActName, Course>> = {}
  let operator = await begin(world, {})
  for (const name of course) {
    const { only, settings, names, missing, clean } = acts[name]
    if (!needed.has(name) || (only !== undefined && only !== world.instances.backend)) continue
    // What the acts before left would be in the way of one that is to see everything gone.
    if (name === 'create' || acts[name].after.length === 0) await clear(world)
    if (settings !== undefined) operator = await followed(world, operator, settings)
    const scene = await open(world, name)
    const { seen } = await world.rest((now) => missing(now, scene.before), limits)
    courses[name] = { state: endState(seen, names, scene.before), creates: scene.created() }
    await clean?.(world, scene.before)
    if (settings !== undefined) operator = await followed(world, operator, {})
  }
  await leave(world, operator)
  return courses
}

async function begin(world: World, settings: Readonly<Record<string, string>>): Promise<OperatorProcess> {
  const operator = await world.start(settings)
  await operator.ready()
  return operator
}

async function followed(world: World, operator: OperatorProcess, settings: Readonly<Record<string, string>>) {
  const next = world.start(settings)
  await operator.end('SIGTERM')
  await (await next).ready()
  return await next
}

/** One line of the sweep, in a world of its own. */
export async function killAt(world: World, kill: Kill, expected: Undisturbed): Promise<Line> {
  const { point, act, nth = 1 } = kill
  const { missing, names, settings = {}, clean } = acts[act]
  const line = { fault: labelOf(kill), where: world.instances.backend }
  const wanted = expected[act]
  if (wanted === undefined) throw new Error(`nobody has played "${act}" undisturbed`)
  try {
    await prepare(world, act)
    const armed = await begin(world, { FAILPOINT: `${point}:${nth}`, ...settings })
    const scene = await open(world, act)
    await death(armed)
    const atDeath = await world.look()
    const next = await begin(world, settings)
    const { seen, at } = await world.rest((now) => missing(now, scene.before), limits)
    const faults = [
      ...differences(endState(seen, names, scene.before), wanted.state),
      ...strangers(atDeath, scene.before, seen, act),
    ]
    const counted = scene.created()
    await clean?.(world, scene.before)
    await leave(world, next)
    const creates = { counted, undisturbed: wanted.creates }
    const seconds = (at - next.startedAt) / 1000
    const figures = { creates, duplicates: world.doubled.size, seconds, bar }
    if (faults.length > 0) return { ...line, ...figures, end: faults.join('; '), verdict: 'SHORT' }
    return judged({ ...line, ...figures, end: 'as undisturbed' })
  } catch (error) {
    return { ...line, end: reasonOf(error), duplicates: world.doubled.size, verdict: 'SHORT', said: world.lastWords }
  }
}

/** Plays, undisturbed, what has to have been before the act. */
export async function prepare(world: World, act: ActName): Promise<void> {
  if (acts[act].after.length === 0) return
  const operator = await world.start()
  await operator.ready()
  for (const name of acts[act].after) {
    const { before } = await open(world, name)
    await world.rest((now) => acts[name].missing(now, before), limits)
  }
  await operator.end('SIGTERM')
}

async function open(world: World, act: ActName) {
  const before = await world.look()
  const total = () => [...world.instances.creates().values()].reduce((sum, count) => sum + count, 0)
  const created = total()
  await acts[act].begin(world, before)
  return { before, created: () => total() - created }
}

async function death(operator: OperatorProcess): Promise<void> {
  const patience = new Promise<undefined>((resolve) => void setTimeout(resolve, 45_000, undefined).unref())
  const exit = await Promise.race([operator.exited, patience])
  if (exit === undefined) throw new Error('the place was never reached')
  if (exit.signal !== 'SIGKILL') throw new Error(`it ended by itself (${exit.code ?? exit.signal}): ${operator.tail}`)
}

/** Deletes everything; throws what is left of it. */
async function clear(world: World): Promise<void> {
  await removeAll(world)
  await world.rest(
    async (seen) => {
      const maps = (await world.ask('GET', `/api/v1/namespaces/${world.namespace}/configmaps`)) as { items: object[] }
      const left = await world.instances.leftovers()
      if (maps.items.length > 0) return `${maps.items.length} ConfigMaps are left`
      return gone(seen) ?? (left.length > 0 ? `left behind: ${left.join(', ')}` : undefined)
    },
    { ...limits, quiet: 0 },
  )
}

async function leave(world: World, operator: OperatorProcess): Promise<void> {
  await clear(world)
  await operator.end('SIGTERM')
}

export function differences(
  state: Readonly<Record<string, string>>,
  expected: Readonly<Record<string, string>>,
): string[] {
  if (isDeepStrictEqual(state, expected)) return []
  const keys = [...new Set([...Object.keys(state), ...Object.keys(expected)])].filter(
    (key) => state[key] !== expected[key],
  )
  return keys.map((key) => `${key}: ${state[key] ?? 'nothing'}, undisturbed ${expected[key] ?? 'nothing'}`)
}

/** Instances that ran when the operator died and that nobody asked to replace, but that are others now. */
function strangers(atDeath: Seen, before: Seen, seen: Seen, act: ActName): string[] {
  const lost = atDeath.workspaces.flatMap((item) => {
    const name = nameOf(item)
    const mayGo = acts[act].replaces.includes(name) ? liveOf(before, name) : []
    // By uid: it may have another name by now.
    const now = seen.live.get(item.metadata.uid) ?? []
    return liveOf(atDeath, name).filter((id) => !mayGo.includes(id) && !now.includes(id))
  })
  return lost.map((id) => `instance ${id.slice(0, 12)} was replaced, which nobody asked for`)
}
