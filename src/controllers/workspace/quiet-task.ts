/** How long agents have been at work while no message came or went: what tells a task that never ends. */
import { milliseconds, type Duration } from '../../duration.ts'
import type { WorkspaceRow } from '../../store/workspace-store.ts'

export type QuietRow = Pick<WorkspaceRow, 'activeTasks' | 'busySince' | 'lastTrafficAt' | 'registeredAt'>

/** When the last of task, message and registration began; undefined where no task is at work. */
export function quietSince({ activeTasks, busySince, lastTrafficAt, registeredAt }: QuietRow): Date | undefined {
  if (activeTasks === 0 || registeredAt === undefined) return undefined
  const times = [busySince, lastTrafficAt, registeredAt].filter((time) => time !== undefined)
  return new Date(Math.max(...times.map((time) => time.getTime())))
}

/**
 * The same by a clock that does not jump, since an agent is restarted by it: counted from the first look of this process at
 * a row that has not moved since, and never more than the row says.
 */
export class QuietTasks {
  readonly #seen = new Map<string, { readonly since: number; readonly at: number }>()
  readonly #monotonic: () => number

  constructor(monotonic = () => performance.now()) {
    this.#monotonic = monotonic
  }

  /** Zero where no task is at work. */
  of(uid: string, row: QuietRow, now: Date): Duration {
    const since = quietSince(row)?.getTime()
    if (since === undefined) {
      this.#seen.delete(uid)
      return milliseconds(0)
    }
    const known = this.#seen.get(uid)
    const at = known?.since === since ? known.at : this.#monotonic()
    if (known?.since !== since) this.#seen.set(uid, { since, at })
    return milliseconds(Math.max(0, Math.min(now.getTime() - since, this.#monotonic() - at)))
  }

  forget(uid: string): void {
    this.#seen.delete(uid)
  }
}
