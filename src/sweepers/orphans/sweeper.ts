/** The loop around plan.ts: looks at every plane, holds suspects in quarantine, and removes whom nothing speaks for. */
import { randomUUID } from 'node:crypto'
import type { Backend, InstanceRef } from '../../backends/backend.ts'
import { milliseconds, minutes, type Duration } from '../../duration.ts'
import { Fenced, reasonOf } from '../../errors.ts'
import type { Fence } from '../../fence.ts'
import { planes, type Held, type OrphanStore, type Stray, type Suspect } from '../../store/orphan-store.ts'
import type { WorkspaceStore } from '../../store/workspace-store.ts'
import type { Logger } from '../../telemetry/log.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import { createSweeper, type Sweeper } from '../sweeper.ts'
import { findOrphans, holds, suspicionOf, type Hold, type Orphan, type Thing } from './plan.ts'

/** The Workspaces, as the cache has them and as the API server says when it is asked itself. */
export interface Resources {
  /** Why the cache cannot be trusted now; undefined when it can. */
  trouble(): string | undefined
  size(): number
  uids(): readonly string[]
  has(ref: InstanceRef): boolean
  /** Past the cache. Throws when there is no clear answer, also for an object that cannot be read. */
  exists(ref: InstanceRef, signal: AbortSignal): Promise<boolean>
}

export interface OrphanOptions {
  readonly resources: Resources
  readonly rows: Pick<WorkspaceStore, 'remove'>
  readonly store: OrphanStore
  readonly backends: ReadonlyMap<string, Backend>
  readonly fence: Fence
  /** Says it to people, of a Workspace that is gone. */
  readonly event: (
    ref: InstanceRef,
    type: 'Normal' | 'Warning',
    reason: string,
    message: string,
    reconcileId?: string,
  ) => void
  /** An orphan is gone: a resource of the same name may be waiting for that. */
  readonly onGone: (ref: InstanceRef) => void
  /** `auto`: the first run on this database only reports, later ones remove. */
  readonly mode: 'auto' | 'report' | 'remove'
  /** How long a suspect is held before anything is done. */
  readonly grace: Duration
  /** Of all owners known: more missing than this, and nothing is done. */
  readonly share: number
  readonly log: Logger
  readonly metrics: Metrics
}

/** A slow hand: whatever goes wrong, people have time to notice. */
const mostASweep = 20

/** Why this sweep ends here; thrown, since every plane may say so. */
class Holding extends Error {
  readonly hold: Hold
  constructor(hold: Hold, why: string) {
    super(why)
    this.hold = hold
  }
}

const reading = async <T>(hold: Hold, what: string, read: Promise<T>): Promise<T> => {
  try {
    return await read
  } catch (error) {
    if (error instanceof Fenced) throw error
    throw new Holding(hold, `${what}: ${reasonOf(error)}`)
  }
}

export function orphanSweeper(options: OrphanOptions): Sweeper {
  const { log, metrics, grace } = options
  const sweeps = new OrphanSweeps(options)
  let said: Hold | undefined

  function hold(reason: Hold | undefined, cause: string): void {
    for (const each of holds) metrics.orphanHold.set({ reason: each }, each === reason ? 1 : 0)
    metrics.orphanSweeps.inc({ outcome: reason === undefined ? 'done' : 'held' })
    // What the last look saw may be long over.
    if (reason !== undefined) metrics.orphans.reset()
    // A change of state is news; the same state a minute later is not.
    if (reason !== said && reason !== undefined) log.warn({ reason, cause }, 'orphans are left alone')
    if (reason !== said && reason === undefined) log.info('orphans are looked for again')
    said = reason
  }

  async function sweep(signal: AbortSignal): Promise<void> {
    try {
      await sweeps.sweep(signal)
      hold(undefined, '')
    } catch (error) {
      if (error instanceof Holding) return hold(error.hold, error.message)
      if (!signal.aborted) metrics.orphanSweeps.inc({ outcome: 'failed' })
      throw error
    }
  }

  return createSweeper({ name: 'orphans', every: milliseconds(Math.min(minutes(1), grace / 4)), log, sweep })
}

class OrphanSweeps {
  readonly #with: OrphanOptions
  /** Orphans of the sweep before, by key: an instance is an orphan once two sweeps in a row found it. */
  #before = new Set<string>()
  /** Whether the quarantine may hold orphans; where it holds none, a sweep that finds none writes nothing. */
  #occupied = true
  #mayRemove: boolean | undefined

  constructor(options: OrphanOptions) {
    this.#with = options
  }

  /** One look, and what follows from it. Throws `Holding` when nothing may follow. */
  async sweep(signal: AbortSignal): Promise<void> {
    const { store, fence } = this.#with
    this.#mayRemove ??= await this.#decideMode()
    const orphans = await this.#look(signal)
    this.#count(orphans)
    if (orphans.length === 0 && !this.#occupied) return
    const { held, gone } = await store.quarantine(orphans, fence)
    for (const suspect of gone) this.#tellGone(suspect)
    this.#occupied = orphans.length > 0
    const due = this.#due(orphans, held)
    this.#before = new Set(orphans.map(keyOf))
    let failure: Error | undefined
    for (const orphan of due.slice(0, mostASweep)) {
      if (signal.aborted) return
      try {
        await (this.#removes(orphan) ? this.#take(orphan, signal) : this.#report(orphan))
      } catch (error) {
        if (error instanceof Fenced || error instanceof Holding) throw error
        // One that cannot be removed must not keep the others.
        failure ??= new Error(`${nameOf(orphan)}: ${reasonOf(error)}`, { cause: error })
      }
    }
    if (failure) throw failure
  }

  /** Out of quarantine, and seen by this very process twice in a row. */
  #due(orphans: readonly Orphan[], held: readonly Held[]) {
    const { grace } = this.#with
    const byKey = new Map(held.map((each) => [keyOf(each.suspect), each]))
    return orphans.flatMap((orphan) => {
      const { age = 0, reported = false } = byKey.get(keyOf(orphan)) ?? {}
      const quiet = orphan.verdict === 'wait' || (reported && !this.#removes(orphan))
      return quiet || age < grace || !this.#before.has(keyOf(orphan)) ? [] : [orphan]
    })
  }

  #removes({ verdict }: Orphan): boolean {
    return this.#mayRemove === true && verdict === 'take'
  }

  async #look(signal: AbortSignal): Promise<readonly Orphan[]> {
    const { resources, store, share } = this.#with
    const trouble = resources.trouble()
    if (trouble !== undefined) throw new Holding('ResourcesUnreadable', trouble)
    const things = await this.#things(signal)
    const strays = things.filter(({ ref }) => !resources.has(ref))
    const asked: Stray[] = strays.map(({ ref, id }) => ({ ownerUid: ref.uid, instanceId: id ?? '' }))
    const { rows, total, retained } = await reading('RowsUnreadable', 'the rows', store.census(resources.uids(), asked))
    if (total === 0 && strays.length < things.length)
      throw new Holding('RowsUnreadable', 'there are Workspaces with instances, but not a single row')
    const orphans = findOrphans({
      rows,
      retained: new Set(retained),
      things: strays,
      present: (ref) => resources.has(ref),
    })
    const suspicion = suspicionOf(orphans, resources.size(), share)
    if (suspicion) throw new Holding(suspicion.hold, suspicion.why)
    return orphans
  }

  /** All or nothing: a backend that does not answer hides what would speak for a row or a volume. */
  async #things(signal: AbortSignal): Promise<readonly Thing[]> {
    const { backends, metrics } = this.#with
    const things: Thing[] = []
    for (const [name, backend] of backends) {
      const list = async () => {
        const instances = await Array.fromAsync(backend.owned(signal))
        const volumes = await Array.fromAsync(backend.ownedVolumes(signal))
        metrics.duplicateInstances.set(
          { backend: name },
          instances.length - new Set(instances.map(({ ref }) => ref.uid)).size,
        )
        for (const { ref, id } of instances) things.push({ backend: name, ref, id })
        for (const ref of volumes) things.push({ backend: name, ref })
      }
      // Not yesterday's number while it cannot be counted.
      const counted = list().catch((error: unknown) => {
        metrics.duplicateInstances.remove({ backend: name })
        throw error
      })
      await reading('BackendUnreadable', `backend ${name}`, counted)
    }
    return things
  }

  async #decideMode(): Promise<boolean> {
    const { mode, store, fence, log } = this.#with
    const first = await store.firstRun(fence)
    const removes = mode === 'remove' || (mode === 'auto' && !first)
    if (!removes) log.info({ mode, first }, 'orphans are only reported by this process')
    return removes
  }

  async #take(orphan: Orphan, signal: AbortSignal): Promise<void> {
    const { resources, store, fence, log } = this.#with
    const { plane, backend, ref } = orphan
    if (await reading('ResourcesUnreadable', 'the API server', resources.exists(ref, signal)))
      throw new Holding(
        'ResourcesUnreadable',
        `the cache does not know Workspace ${ref.namespace}/${ref.name}, which exists`,
      )
    const reconcileId = randomUUID()
    await store.mark(orphan, 'taken', reconcileId, fence)
    fence.check()
    log.warn({ plane, backend, ...ref, cause: orphan.cause, reconcileId }, 'removing orphan')
    await this.#remove(orphan, signal)
  }

  async #remove({ plane, backend, ref }: Orphan, signal: AbortSignal): Promise<void> {
    const { rows, backends, fence } = this.#with
    if (plane === 'row') {
      await rows.remove({ ownerUid: ref.uid, namespace: ref.namespace }, fence)
      return
    }
    // What is only requested by then is gone by the next sweep, or is asked for again.
    const volumes = plane === 'volume' ? 'delete' : 'keep'
    await backends.get(backend)?.remove(ref, volumes, signal, () => fence.check())
  }

  async #report(orphan: Orphan): Promise<void> {
    const { store, fence, log, metrics, event } = this.#with
    const { plane, backend, ref, cause } = orphan
    const reconcileId = randomUUID()
    await store.mark(orphan, 'reported', reconcileId, fence)
    log.warn({ plane, backend, ...ref, cause, reconcileId }, 'orphan found and left')
    metrics.orphansReported.inc({ plane })
    event(ref, 'Warning', 'OrphanFound', `${nameOf(orphan)} is left over: ${cause}. It was not removed`, reconcileId)
  }

  #tellGone(suspect: Suspect): void {
    const { plane, ownerUid: uid, namespace, resourceName: name, cause } = suspect
    this.#with.onGone({ uid, namespace, name })
    this.#with.metrics.orphansRemoved.inc({ plane })
    this.#with.log.info({ plane, backend: suspect.backend, uid, namespace, name }, 'orphan is gone')
    this.#with.event({ uid, namespace, name }, 'Normal', 'OrphanRemoved', `${nameOf(suspect)} was removed: ${cause}`)
  }

  #count(orphans: readonly Orphan[]): void {
    for (const plane of planes)
      this.#with.metrics.orphans.set({ plane }, orphans.filter((orphan) => orphan.plane === plane).length)
  }
}

const keyOf = ({ plane, backend, ownerUid }: Suspect): string => `${plane} ${backend} ${ownerUid}`

const words = { row: 'Row', instance: 'Instance', volume: 'Volumes' } as const
const nameOf = ({ plane, backend, ownerUid }: Suspect): string => `${words[plane]} of ${ownerUid} on ${backend}`
