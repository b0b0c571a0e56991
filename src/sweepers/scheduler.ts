/**
 * Schedules run here, in the leader alone. A tick reads what is due and what is under way, and nothing else:
 *
 *   due schedules ──► next time reckoned, run claimed (one statement)
 *   open runs ──► deliver · wake · wait · skip ──► ended, with event and activity row
 *
 * A run is a row before anything is sent and until it has ended. So a crash anywhere leaves a run that the next leader
 * finishes, under the same message id: an agent that got the prompt already can drop it. Times are the database's.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { CronError, nextRun } from '../cron.ts'
import { type Duration, milliseconds, minutes, seconds } from '../duration.ts'
import { Fenced, reasonOf } from '../errors.ts'
import type { Fence } from '../fence.ts'
import { type Claim, Places } from '../places.ts'
import type { DueSchedule, OpenRun, RunEnd, ScheduleStore } from '../store/schedule-store.ts'
import type { WorkspaceId } from '../store/workspace-store.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { cut, oneLine } from '../text.ts'
import { turnOf } from './schedule-turn.ts'
import { createSweeper, type Sweeper } from './sweeper.ts'

/** A prompt as it is delivered. `id` is the same however often it is sent. */
export interface DuePrompt {
  readonly id: string
  readonly to: WorkspaceId
  readonly text: string
  readonly metadata: Readonly<Record<string, string>>
}

/** `failed`: the agent may have it; `notReached`: it may be sent again. */
export type Delivery =
  { readonly kind: 'delivered' } | { readonly kind: 'failed' | 'notReached'; readonly detail: string }

export interface SchedulerOptions {
  readonly schedules: ScheduleStore
  readonly deliver: (prompt: DuePrompt, signal: AbortSignal) => Promise<Delivery>
  /** Asks a sleeping agent to wake; asked again, it is the same wish. */
  readonly wake: (id: WorkspaceId) => Promise<unknown>
  readonly fence: Fence
  readonly log: Logger
  readonly metrics: Metrics
  readonly every?: Duration
  readonly limits?: Partial<typeof limits>
}

const limits = {
  /** Due schedules taken in a tick; the rest in the next one, which then follows at once. */
  dueAtOnce: 50,
  /** Open runs looked at in a tick: a whole organisation that sleeps must not stand before those who are awake. */
  openAtOnce: 5000,
  /** Prompts on their way at once: some agents answer only when they are done. */
  deliveries: 128,
  /** Of those, to one agent. */
  deliveriesToOne: 8,
  /** Sleeping agents that are asked to wake in a tick. */
  wakes: 128,
  /** For one delivery. */
  delivery: minutes(5),
  /** For one question to the database, whatever its own bounds: a tick must come to an end. */
  statement: seconds(10),
  /** Deliveries that did not come through before a run is given up. */
  attempts: 8,
  /** What is due at the same minute is begun within so long, each schedule at a place of its own. */
  spread: seconds(5),
}

/** Between two ticks of which the first left something that cannot wait for long. */
const breath = milliseconds(250)

export function scheduler(options: SchedulerOptions): Sweeper {
  const { log, every = seconds(5) } = options
  return {
    name: 'scheduler',
    leaderOnly: true,
    async start(signal) {
      const rounds = new Scheduler({ ...options, every }, signal)
      await createSweeper({ name: 'scheduler', every, log, sweep: () => rounds.sweep() }).start(signal)
      await rounds.settled()
    },
  }
}

class Scheduler {
  readonly #options: SchedulerOptions & { readonly every: Duration }
  readonly #limits: typeof limits
  readonly #signal: AbortSignal
  /** Runs on their way, and whose they are. */
  readonly #underWay = new Map<string, WorkspaceId>()
  readonly #places: Places
  /** Of this tick. */
  #wakes: Places
  readonly #work = new Set<Promise<void>>()
  /** A run was left for want of room, or for an agent that is coming up: it is looked at again soon. */
  #soon = false

  constructor(options: SchedulerOptions & { readonly every: Duration }, signal: AbortSignal) {
    this.#options = options
    this.#limits = { ...limits, ...options.limits }
    this.#signal = signal
    this.#places = this.#placesFor(this.#limits.deliveries)
    this.#wakes = this.#placesFor(this.#limits.wakes)
  }

  #placesFor(total: number): Places {
    const { deliveriesToOne: destination } = this.#limits
    return new Places({ total, reserved: 0, pair: total, caller: total, destination })
  }

  async sweep(): Promise<void> {
    for (let more = true; more && !this.#signal.aborted;) {
      more = await this.#tick()
      if (more) await this.#sleep(breath)
    }
  }

  /** What is on its way was told to stop by the signal, and has. */
  async settled(): Promise<void> {
    await Promise.all(this.#work)
  }

  /** True when the next tick should follow at once. */
  async #tick(): Promise<boolean> {
    const { schedules } = this.#options
    const { dueAtOnce, openAtOnce } = this.#limits
    this.#soon = false
    this.#wakes = this.#placesFor(this.#limits.wakes)
    const due = await this.#bounded(schedules.due(dueAtOnce))
    const advanced = await this.#bounded(Promise.allSettled(due.map((schedule) => this.#advance(schedule))))
    const open = await this.#bounded(schedules.open(openAtOnce))
    const taken = await this.#bounded(Promise.allSettled(open.map((run) => this.#take(run))))
    // Last, so that what cannot be moved holds up nothing else.
    for (const result of [...advanced, ...taken]) if (result.status === 'rejected') throw result.reason
    return due.length === dueAtOnce || this.#soon
  }

  async #advance({ id, cron, timezone, seen, due, from }: DueSchedule): Promise<void> {
    const { schedules, fence, log, metrics } = this.#options
    let next: Date | undefined
    let fault: string | undefined
    try {
      next = nextRun(cron, timezone, from)
    } catch (error) {
      if (!(error instanceof CronError)) throw error
      fault = cut(oneLine(error.message), 500)
      log.warn({ schedule: id, err: fault }, 'schedule cannot be read')
    }
    if (next === undefined) fault ??= `cron "${cron}" never comes`
    // The schedule was changed and its next time was not: the time that is recorded is of the schedule before.
    const runAfter = due && fault === undefined ? jitterOf(id, this.#limits.spread) : undefined
    const skipped = await schedules.advance({ scheduleId: id, seen, next: next ?? 'never', runAfter, fault }, fence)
    if (skipped) metrics.scheduleRuns.inc({ outcome: 'skipped' })
  }

  async #take(run: OpenRun): Promise<void> {
    if (this.#signal.aborted || this.#underWay.has(run.id)) return
    const { attempts } = this.#limits
    if (run.attempts >= attempts)
      return await this.#finish({ runId: run.id, outcome: 'error', detail: `not delivered in ${attempts} tries` })
    const here = [...this.#underWay.values()].filter((id) => id === run.workspaceId).length
    const turn = turnOf(run, here)
    switch (turn.act) {
      case 'wait':
        return
      case 'wake':
        this.#soon = true
        if (typeof this.#wakes.take(claimOf(run)) !== 'string') await this.#options.wake(run.workspaceId)
        return
      case 'await':
        // Soon, since an agent that was woken for this may be put to sleep again before the usual time is over.
        this.#soon = true
        return
      case 'skip':
        return await this.#finish({ runId: run.id, outcome: 'skipped', detail: turn.why })
      case 'deliver':
        this.#send(run)
    }
  }

  #send(run: OpenRun): void {
    const { log } = this.#options
    const place = this.#places.take(claimOf(run))
    if (typeof place === 'string') {
      this.#soon = true
      return
    }
    this.#underWay.set(run.id, run.workspaceId)
    const work = this.#deliver(run)
      // The run stays open: the next tick takes it up again.
      .catch((error: unknown) => log.warn({ run: run.id, err: reasonOf(error) }, 'scheduled prompt not delivered'))
      .finally(() => {
        this.#underWay.delete(run.id)
        place()
        this.#work.delete(work)
      })
    this.#work.add(work)
  }

  async #deliver(run: OpenRun): Promise<void> {
    const { schedules, fence, deliver } = this.#options
    const text = await this.#bounded(schedules.begin(run.id, fence))
    if (text === undefined) return
    fence.check()
    const metadata = { schedule: run.schedule, due_at: run.dueAt.toISOString() }
    const deadline = AbortSignal.any([this.#signal, AbortSignal.timeout(this.#limits.delivery)])
    const delivery = await deliver({ id: run.id, to: run.workspaceId, text, metadata }, deadline)
    if (this.#signal.aborted && delivery.kind !== 'delivered') return
    const end = endOf(run, delivery, this.#limits.attempts)
    if (end !== undefined) await this.#settle(end)
  }

  /** What was delivered must not be delivered again because the database is away: tries until it is told. */
  async #settle(end: RunEnd): Promise<void> {
    const { log, every } = this.#options
    for (let told = false; ;) {
      try {
        return await this.#finish(end)
      } catch (error) {
        if (error instanceof Fenced || this.#signal.aborted) throw error
        if (!told) log.warn({ run: end.runId, err: reasonOf(error) }, 'end of a scheduled prompt not recorded yet')
        told = true
        await this.#sleep(every)
      }
    }
  }

  async #finish(end: RunEnd): Promise<void> {
    const { schedules, fence, metrics } = this.#options
    await this.#bounded(schedules.finish(end, fence))
    metrics.scheduleRuns.inc({ outcome: end.outcome })
  }

  #bounded<T>(work: Promise<T>): Promise<T> {
    const { statement } = this.#limits
    return within(work, statement)
  }

  async #sleep(span: Duration): Promise<void> {
    await sleep(span, undefined, { signal: this.#signal, ref: false }).catch(() => undefined)
  }
}

const claimOf = ({ workspaceId, namespace }: OpenRun): Claim => ({ destination: workspaceId, namespace })

/** How a delivery ends its run; undefined: it does not, the run is tried again. */
function endOf(run: OpenRun, delivery: Delivery, mostAttempts: number): RunEnd | undefined {
  if (delivery.kind === 'delivered') return { runId: run.id, outcome: 'ok', detail: undefined }
  if (delivery.kind === 'notReached' && run.attempts + 1 < mostAttempts) return undefined
  return { runId: run.id, outcome: 'error', detail: delivery.detail }
}

/** The same for the same schedule, so that its own runs keep their distance. */
const jitterOf = (id: string, spread: Duration): Duration =>
  milliseconds((Number.parseInt(id.slice(0, 8), 16) / 0x1_0000_0000) * spread)

/** Throws when it takes longer; what it does then goes on unheard. */
async function within<T>(work: Promise<T>, span: Duration): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error('the database did not answer in time')), span)
  try {
    return await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
