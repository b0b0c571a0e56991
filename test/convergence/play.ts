/** Plays a walk on a real API server and database, and holds the invariants of reliability against its end. */
import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { Pool } from 'pg'
import { expect } from 'vitest'
import type { Workspace } from '../../src/api/workspace.ts'
import { KubeError } from '../../src/kube/kube-error.ts'
import { administrator, listWorkspaces, pathOf, type Ask } from '../support/admin.ts'
import { controlPlane } from '../support/cluster.ts'
import { startOperator, type TestOperator } from '../support/operator.ts'
import { until } from '../support/until.ts'
import { conditionOf, workspace } from '../support/workspaces.ts'
import { setClock } from './shifted-clock.ts'
import type { Target } from './target.ts'
import { below, endOf, nameOf, type Event, type Step, type Wish, type Wishes } from './walk.ts'

interface Row {
  readonly id: string
  readonly status: string
  readonly observed_generation: string
  readonly leader_epoch: string
  readonly spec_hash: string
  readonly launched_hash: string | null
  readonly restarts: number
  readonly tokens: string
}

// What agents change by their beats is left out: it never rests.
const rowsOf = `
  SELECT w.id, w.status, w.observed_generation, w.leader_epoch, w.spec_hash, w.launched_hash, w.restarts,
    (SELECT count(*) FROM workspace_auth_tokens t WHERE t.workspace_id = w.id AND t.revoked_at IS NULL) AS tokens
  FROM workspaces w WHERE w.namespace = $1 ORDER BY w.id`

export interface Setting {
  readonly namespace: string
  readonly databaseUrl: string
  readonly runtime: string
  readonly target: Target
  /** What the workspaces name; the operator's default otherwise. */
  readonly backendName?: string
  readonly env?: Readonly<Record<string, string>>
  /** Milliseconds of rest that are asked for, and within how many they must come. */
  readonly quiet: number
  readonly within: number
}

export class Player {
  readonly #setting: Setting
  readonly #ask: Ask
  readonly #pool: Pool
  readonly #wishes: Wishes = new Map()
  readonly #uids = new Set<string>()
  readonly #ever = new Map<string, { generation: number; row: number; epoch: number }>()
  #operator: TestOperator | undefined
  #serial = 0

  private constructor(setting: Setting, ask: Ask) {
    this.#setting = setting
    this.#ask = ask
    this.#pool = new Pool({ connectionString: setting.databaseUrl, max: 2 })
  }

  static open(setting: Setting): Player {
    return new Player(setting, administrator(controlPlane()))
  }

  async close(): Promise<void> {
    setClock(0)
    await this.#operator?.stop()
    await this.#pool.end()
  }

  /** Begins with nothing, ends with nothing; throws what did not hold. */
  async play(steps: readonly Step[]): Promise<void> {
    const over = new AbortController()
    const watching = this.#watch(over.signal)
    // Told at the end, with whatever else went wrong.
    watching.catch(() => undefined)
    try {
      await this.#happen({ kind: 'operator', on: true })
      for (const { event, pause } of steps) {
        await this.#happen(event)
        await wait(pause)
      }
      await this.#heal()
      await this.#rests()
      this.#judge()
      await this.#leave()
    } finally {
      over.abort()
      await watching
      this.#wishes.clear()
    }
  }

  async #happen(event: Event): Promise<void> {
    const { target } = this.#setting
    switch (event.kind) {
      case 'operator':
        return await this.#switchOperator(event.on)
      case 'clock':
        return setClock(event.hours)
      case 'unknown':
        target.unknown(event.on)
        if (!event.on) await this.#tellAll()
        return
      case 'slow':
        return target.slow(event.on)
      case 'refuse':
        return target.refuse()
      case 'image':
        return await this.#promote(event.value)
      case 'create':
        return await this.#create(event.slot)
      default: {
        const wish = this.#wishes.get(event.slot)
        if (wish !== undefined) await this.#befall(event, wish)
      }
    }
  }

  async #befall(
    event: Exclude<Event, { kind: 'operator' | 'clock' | 'unknown' | 'slow' | 'refuse' | 'image' | 'create' }>,
    wish: Wish,
  ): Promise<void> {
    const { target } = this.#setting
    const { slot } = event
    switch (event.kind) {
      case 'delete':
        this.#reason(slot)
        this.#wishes.delete(slot)
        await this.#ask('DELETE', this.#pathOf(slot))
        return
      case 'kill':
        wish.reasons++
        return await target.kill(wish.uid)
      case 'vanish':
        wish.reasons++
        return await target.vanish(wish.uid)
      case 'restart':
        wish.reasons++
        return await this.#annotate(slot, 'molecule.dev/restarted-at')
      case 'rename':
        return await this.#edit(slot, { displayName: `Name ${++this.#serial}` })
      case 'power':
        this.#reason(slot)
        wish.paused = !event.on
        return await this.#edit(slot, { power: event.on ? 'Running' : 'Paused' })
      case 'sleepy':
        wish.reasons++
        wish.sleepy = event.on
        return await this.#edit(slot, { hibernation: event.on ? { idleAfter: '1s' } : null })
      case 'env':
        wish.reasons++
        wish.env = event.value
        return await this.#edit(slot, { env: [{ name: 'VALUE', value: String(event.value) }] })
      case 'parent': {
        const above = this.#wishes.has(event.above) ? event.above : -1
        this.#reason(slot)
        wish.above = above
        return await this.#edit(slot, { parentRef: above < 0 ? null : { name: nameOf(above) } })
      }
    }
  }

  /** A reason for this one and for all below it, which follow its power. */
  #reason(slot: number): void {
    for (const wish of [this.#wishes.get(slot), ...below(this.#wishes, slot)]) if (wish) wish.reasons++
  }

  async #create(slot: number): Promise<void> {
    if (this.#wishes.has(slot)) return
    const { namespace, runtime, backendName } = this.#setting
    const own = { displayName: `Name ${++this.#serial}`, runtime, env: [{ name: 'VALUE', value: '0' }] }
    const spec = { ...own, ...(backendName !== undefined && { backend: backendName }) }
    try {
      const made = (await this.#ask('POST', pathOf(namespace), workspace(namespace, nameOf(slot), spec))) as Workspace
      const { uid } = made.metadata
      this.#uids.add(uid)
      this.#wishes.set(slot, { uid, paused: false, sleepy: false, env: 0, above: -1, reasons: 1 })
    } catch (error) {
      // The one before is still on its way out.
      if (!(error instanceof KubeError && error.isAlreadyExists)) throw error
    }
  }

  async #promote(value: number): Promise<void> {
    for (const wish of this.#wishes.values()) wish.reasons++
    const digest = `sha256:${String(value).repeat(64)}`
    await this.#ask('PATCH', `/apis/molecule.dev/v1alpha1/runtimes/${this.#setting.runtime}`, { spec: { digest } })
  }

  async #switchOperator(on: boolean): Promise<void> {
    const { databaseUrl, target, env = {} } = this.#setting
    if (!on) {
      await this.#operator?.stop()
      this.#operator = undefined
      return
    }
    const { LEASE_NAME = `walk-${this.#setting.namespace}` } = env
    this.#operator ??= await startOperator({ databaseUrl, backends: [target.backend], env: { ...env, LEASE_NAME } })
  }

  /** All that is broken is whole again. */
  async #heal(): Promise<void> {
    setClock(0)
    this.#setting.target.heal()
    await this.#switchOperator(true)
    await this.#tellAll()
  }

  /** As a backend's own events do after a gap. */
  async #tellAll(): Promise<void> {
    for (const slot of this.#wishes.keys()) await this.#annotate(slot, 'molecule.dev/reconcile-requested-at')
  }

  /** I2, I4, I5: what was asked for is reached, and then nothing moves. */
  async #rests(): Promise<void> {
    const { quiet, within } = this.#setting
    let [print, since] = ['', performance.now()]
    await until(
      async () => {
        const { objects, rows, live, volumes } = await this.#look()
        const now = JSON.stringify([
          objects.map(({ metadata }) => [metadata.uid, metadata.resourceVersion]),
          rows,
          [...live],
        ])
        if (now !== print) [print, since] = [now, performance.now()]
        const uids = [...this.#wishes.values()].map(({ uid }) => uid)
        expect(objects.map(({ metadata }) => metadata.uid).sort()).toEqual(uids.sort())
        for (const row of rows.filter(({ id }) => !uids.includes(id)))
          expect([row.id, row.status, row.tokens]).toEqual([row.id, 'removed', '0'])
        for (const uid of this.#uids)
          if (!uids.includes(uid)) expect([uid, live.has(uid), volumes.has(uid)]).toEqual([uid, false, false])
        for (const [slot, wish] of this.#wishes) this.#reached(slot, wish, objects, rows, live)
        return performance.now() - since >= quiet
      },
      { what: 'rest', within, every: 100 },
    )
  }

  #reached(
    slot: number,
    { uid }: Wish,
    objects: readonly Workspace[],
    rows: readonly Row[],
    live: ReadonlySet<string>,
  ) {
    const end = endOf(this.#wishes, slot)
    const found = objects.find(({ metadata }) => metadata.uid === uid)
    const row = rows.find(({ id }) => id === uid)
    const reason = { paused: 'Paused', hibernated: 'Hibernated', online: 'Settled' }[end]
    const seen = {
      observed: found?.status?.observedGeneration === found?.metadata.generation,
      ready: conditionOf(found?.status, 'Ready'),
      row: row?.status,
      live: live.has(uid),
      made: end === 'online' ? row?.launched_hash === row?.spec_hash : true,
    }
    const wanted = { observed: true, ready: `True ${reason}`, row: end, live: end === 'online', made: true }
    expect(`${nameOf(slot)} ${JSON.stringify(seen)}`).toBe(`${nameOf(slot)} ${JSON.stringify(wanted)}`)
  }

  /** I1, I5: never two at once, and none that nobody had asked for. */
  #judge(): void {
    const { target } = this.#setting
    expect([...target.doubled]).toEqual([])
    for (const [slot, { uid, reasons }] of this.#wishes) {
      const creates = target.creates(uid)
      expect(creates, `${nameOf(slot)} was launched ${creates} times, for ${reasons} reasons`).toBeLessThanOrEqual(
        reasons,
      )
    }
  }

  /** Deletes what is left: nothing of it may stay behind. */
  async #leave(): Promise<void> {
    for (const slot of this.#wishes.keys()) await this.#ask('DELETE', this.#pathOf(slot))
    this.#wishes.clear()
    await this.#rests()
  }

  async #look() {
    const { namespace, target } = this.#setting
    const [objects, { rows }, live, volumes] = await Promise.all([
      listWorkspaces(this.#ask, namespace),
      this.#pool.query<Row>(rowsOf, [namespace]),
      target.live(),
      target.volumes(),
    ])
    return { objects, rows, live, volumes }
  }

  /** I6, all the time: generations and epochs never go back. */
  async #watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const { objects, rows } = await this.#look()
      for (const { metadata, status } of objects)
        this.#rose(metadata.uid, { generation: status?.observedGeneration ?? -1 })
      for (const row of rows)
        this.#rose(row.id, { row: Number(row.observed_generation), epoch: Number(row.leader_epoch) })
      await wait(150)
    }
  }

  #rose(uid: string, now: Partial<{ generation: number; row: number; epoch: number }>): void {
    const before = this.#ever.get(uid) ?? { generation: -1, row: -1, epoch: -1 }
    for (const [name, value] of Object.entries(now))
      expect(value, `${name} of ${uid} went back`).toBeGreaterThanOrEqual(before[name as keyof typeof before])
    this.#ever.set(uid, { ...before, ...now })
  }

  #pathOf(slot: number): string {
    return pathOf(this.#setting.namespace, nameOf(slot))
  }

  async #edit(slot: number, spec: object): Promise<void> {
    await this.#ask('PATCH', this.#pathOf(slot), { spec })
  }

  async #annotate(slot: number, name: string): Promise<void> {
    const annotations = { [name]: randomBytes(4).toString('hex') }
    await this.#ask('PATCH', this.#pathOf(slot), { metadata: { annotations } })
  }
}
