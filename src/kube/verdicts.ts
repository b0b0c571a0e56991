/**
 * What the last pass made of each object that is not ready: the log says it when it changes, once, under the id of that
 * very pass, and the metrics count it. Known by the passes of this process alone, never read from a status, which others
 * can write.
 */
import type { CommonStatus, Key } from '../api/meta.ts'
import type { ControllerName, Metrics, NotReady } from '../telemetry/metrics.ts'
import { oneLine } from '../text.ts'
import type { ConditionDraft, Verdict } from './reconciler.ts'
import { messageOfWait } from './status.ts'

/**
 * `stalled`: a person must change something; `waiting`: for something that will come; `failing`: its passes throw;
 * `idle`: it is where its spec asks it to be, and that is not ready, as a paused one.
 */
export interface Standing {
  readonly state: NotReady
  readonly reason: string
  readonly message: string
}

/** Undefined: ready. Pure. */
export function standingOf<S extends CommonStatus>({ status, outcome }: Verdict<S>): Standing | undefined {
  const ready = status.conditions.find(({ type }) => type === 'Ready')
  switch (outcome.kind) {
    case 'blocked':
      return { state: 'stalled', reason: outcome.reason, message: outcome.message }
    case 'again':
      return isTrue(ready) ? undefined : { state: 'waiting', ...said(ready, messageOfWait(outcome)) }
    case 'settled':
      return isTrue(ready) ? undefined : { state: 'idle', ...said(ready, '') }
  }
}

const isTrue = (condition: ConditionDraft | undefined): boolean => condition?.status === 'True'
const said = (ready: ConditionDraft | undefined, otherwise: string) => ({
  reason: ready?.reason ?? 'Progressing',
  message: ready?.message ?? otherwise,
})

interface Known extends Standing {
  /** Since when it has been in this state, for whatever reasons, by the monotonic clock. */
  readonly since: number
  /** The log has it. */
  readonly told: boolean
}

export interface VerdictsOptions {
  readonly controller: ControllerName
  readonly metrics: Pick<Metrics, 'objectsNotReady' | 'longestNotReady'>
}

/** Writes a line of the log under the id of the pass. */
type Say = (level: 'info' | 'warn', fields: object, message: string) => void

export class Verdicts {
  readonly #options: VerdictsOptions
  readonly #known = new Map<Key, Known>()
  /** What the metric was last given: a reason that has gone is 0 from then on. */
  readonly #reasons = new Map<string, Pick<Standing, 'state' | 'reason'>>()

  constructor(options: VerdictsOptions) {
    this.#options = options
  }

  /**
   * What a pass made of an object; undefined: it is ready. `isNews`: it is worth a line now, and if it is not, it may be
   * the next time. Returns whether the log has got a line.
   */
  set(key: Key, standing: Standing | undefined, say: Say, isNews = true): boolean {
    const before = this.#known.get(key)
    if (standing === undefined) {
      this.forget(key)
      if (before?.told !== true || before.state === 'waiting' || before.state === 'idle') return false
      say('info', {}, 'object recovered')
      return true
    }
    const message = oneLine(standing.message)
    const same = before?.state === standing.state && before.reason === standing.reason && before.message === message
    const tells = isNews && !(same && before.told)
    const since = before?.state === standing.state ? before.since : performance.now()
    this.#known.set(key, { ...standing, message, since, told: tells || (same && before.told) })
    if (!tells || standing.state === 'failing') return tells
    const fields = { reason: standing.reason, message }
    if (standing.state === 'stalled') say('warn', fields, 'object stalled')
    else say('info', fields, standing.state === 'waiting' ? 'object waits' : 'object is idle')
    return true
  }

  /** It is gone, or another process looks after it. */
  forget(key: Key): void {
    this.#known.delete(key)
  }

  /** Brings up to date what is only worth knowing when somebody looks. */
  observe(): void {
    const now = performance.now()
    const longest = { stalled: 0, waiting: 0, failing: 0, idle: 0 } satisfies Record<NotReady, number>
    const counts = new Map<string, number>()
    for (const { state, reason, since } of this.#known.values()) {
      longest[state] = Math.max(longest[state], now - since)
      const name = `${state} ${reason}`
      counts.set(name, (counts.get(name) ?? 0) + 1)
      if (!this.#reasons.has(name)) this.#reasons.set(name, { state, reason })
    }
    const { controller, metrics } = this.#options
    for (const [state, span] of Object.entries(longest)) metrics.longestNotReady.set({ controller, state }, span / 1000)
    for (const [name, { state, reason }] of this.#reasons)
      metrics.objectsNotReady.set({ controller, state, reason }, counts.get(name) ?? 0)
  }
}
