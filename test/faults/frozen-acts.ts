/** The leader stands still in the middle of an act, right after a side effect, and comes back when another has led. */
import type { Failpoint } from '../../src/failpoint.ts'
import { reasonOf } from '../../src/errors.ts'
import { until } from '../support/until.ts'
import { acts, type ActName } from './acts.ts'
import { requestsOf } from './audit.ts'
import { endState } from './ends.ts'
import { endsAs, epochOf, two } from './leaders.ts'
import type { Stage } from './stage.ts'
import { judged, type Line } from './table.ts'
import type { World } from './world.ts'

export interface Freeze {
  readonly fault: string
  readonly point: Failpoint
  readonly act: ActName
}

const middle = (point: Failpoint, act: ActName): Freeze => ({ point, act, fault: `leader frozen at ${point}, ${act}` })

export const freezes: readonly Freeze[] = [
  middle('removed', 'replace'),
  middle('removed', 'pause'),
  middle('hibernating', 'hibernate'),
  middle('cascaded', 'cascade'),
]

/** From the freeze to rest: the lease runs out first. */
const bar = 35
const limits = { quiet: 1_500, within: 90_000 }

export async function freeze(stage: Stage, { fault, point, act }: Freeze): Promise<Line> {
  const line = { fault: `${fault}, and thawed`, where: 'process' }
  const { plane, place } = await stage.controlPlane({ audit: true })
  const world = await stage.world(place, () => stage.processes())
  const { missing, names } = acts[act]
  try {
    const { first, token } = await two(world, plane, { FAILPOINT: `${point}:1:freeze` })
    for (const name of acts[act].after) {
      const before = await world.look()
      await acts[name].begin(world, before)
      await world.rest((seen) => acts[name].missing(seen, before), limits)
    }
    const before = await world.look()
    const made = total(world)
    const epoch = await epochOf(world)
    await acts[act].begin(world, before)
    await until(() => first.frozen(), { what: 'the leader to reach the place', within: 20_000 })
    const frozenAt = performance.now()
    const { seen, at } = await world.rest((now) => missing(now, before), limits)
    const state = JSON.stringify(endState(seen, names, before))
    if ((await epochOf(world)) <= epoch) throw new Error('nobody else has led')
    const thawedAt = new Date()
    first.send('SIGCONT')
    await endsAs(first, 3)
    const { effects } = await requestsOf(plane.auditLog, token, thawedAt)
    if (effects.length > 0) throw new Error(`the thawed one wrote: ${effects.join(', ')}`)
    const { seen: after } = await world.rest((now) => missing(now, before), limits)
    if (JSON.stringify(endState(after, names, before)) !== state) throw new Error('the end changed after the thaw')
    const undisturbed = { replace: 1, pause: 0, hibernate: 0, cascade: 0 }[act as 'replace' | 'pause']
    return judged({
      ...line,
      end: 'the second finished it; thawed: no write, exit 3',
      creates: { counted: total(world) - made, undisturbed },
      duplicates: world.doubled.size,
      seconds: (at - frozenAt) / 1_000,
      bar,
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
