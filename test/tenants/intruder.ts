/** The tenant that tries: it has all rights on its own namespace, status included, and the tokens of its own agents. */
import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { KubeObject } from '../../src/api/meta.ts'
import type { Workspace } from '../../src/api/workspace.ts'
import { until } from '../support/until.ts'
import { workspace } from '../support/workspaces.ts'
import { ask, requestOf, tells, type Answer } from './calls.ts'
import type { Neighbour } from './neighbour.ts'
import { bornWith, claimsOf, forgedStatus, importOf, installOf, specOf } from './objects.ts'
import { imports, names, type Ref, type Step } from './walk.ts'
import { collections, freshName, gone, molecule, type World } from './world.ts'

/** A finalizer that no controller takes away. */
const held = 'example.com/held'

export class Intruder {
  readonly namespace: string
  /** Answers that tell an id of the neighbour from one that does not exist. */
  readonly told: string[] = []
  /** Every answer of the platform. */
  readonly answers: string[] = []
  readonly #glimpses = new Set<string>()
  readonly #world: World
  readonly #of: Neighbour

  private constructor(world: World, of: Neighbour) {
    this.#world = world
    this.#of = of
    this.namespace = freshName('ours')
  }

  static async open(world: World, of: Neighbour): Promise<Intruder> {
    const own = new Intruder(world, of)
    await world.namespace(own.namespace)
    return own
  }

  async play(steps: readonly Step[]): Promise<void> {
    for (const step of steps) await this.#take(step)
  }

  /** Reads the Runtime and its own Workspaces again and again: what shows for a moment has been shown. */
  async watch(signal: AbortSignal): Promise<void> {
    const [workspaces] = collections(this.namespace)
    while (!signal.aborted) {
      const seen = [await this.#world.ask('GET', `${molecule}/runtimes/${this.#of.runtime}`)]
      this.#glimpses.add(JSON.stringify([seen, await this.#world.list(workspaces)]))
      await wait(1_000)
    }
  }

  /** Waits, for a while, until the operator has looked at everything as it is now. */
  async settle(): Promise<void> {
    const at = randomUUID()
    const body = { metadata: { annotations: { 'molecule.dev/reconcile-requested-at': at } } }
    await Promise.all((await this.#everything()).map(([path]) => gone(this.#world.ask('PATCH', path, body))))
    const seen = async () => {
      const left = (await this.#everything()).filter(([path, { status }]) => {
        // No controller acts on this kind yet.
        if (path.includes('/plugininstalls/')) return false
        const { lastHandledReconcileAt } = (status ?? {}) as { lastHandledReconcileAt?: string }
        return lastHandledReconcileAt !== at
      })
      return left.length === 0
    }
    // One that never answers harms its own tenant.
    await until(seen, { within: 5_000, every: 200 }).catch(() => undefined)
  }

  /** Each of its agents speaks to each id of the neighbour. */
  async speak(): Promise<void> {
    for (const [uid, [first]] of this.#world.launches) {
      const token = first?.ref.namespace === this.namespace ? this.#world.tokenOf(uid) : undefined
      if (token !== undefined) for (const id of this.#of.learnt) await this.#call(uid, 'a2a', id, token)
    }
  }

  /** Wants a row of the neighbour and one that does not exist: it must be told the same. `at` chooses the row. */
  async compare(at: number): Promise<void> {
    const policy = at % 2 === 0 ? 'AdoptOnly' : 'AdoptOrCreate'
    const id = this.#of.learnt[at % this.#of.learnt.length] ?? ''
    const [path] = collections(this.namespace)
    const wants = async (name: string, workspaceID: string): Promise<() => Promise<string>> => {
      const spec = { runtime: this.#of.runtime, power: 'Paused', adopt: { workspaceID, policy } }
      const { metadata } = (await this.#world.ask('POST', path, workspace(this.namespace, name, spec))) as KubeObject
      return async () => {
        const { status } = (await this.#world.ask('GET', `${path}/${name}`)) as Workspace
        const said = (status?.conditions ?? []).map(({ type, reason, message }) => [type, reason, message])
        return JSON.stringify([status?.observedGeneration, status?.summary, status?.phase, said])
          .replaceAll(workspaceID, '<id>')
          .replaceAll(metadata.uid, '<uid>')
          .replaceAll(name, '<name>')
      }
    }
    const [theirs, nothing] = [await wants('wants-theirs', id), await wants('wants-nothing', randomUUID())]
    let said = ['', '']
    const alike = async () => {
      said = [await theirs(), await nothing()]
      return said[0] === said[1] && said[0]?.startsWith('[1,')
    }
    const told = () => this.told.push(`${policy} of ${this.#of.known.get(id)}: ${said[0]}, of nothing: ${said[1]}`)
    await until(alike, { within: 20_000, every: 200 }).catch(told)
  }

  /** All that it can read, by where. */
  async reads(): Promise<readonly (readonly [where: string, text: string])[]> {
    const { ask: get, list } = bound(this.#world)
    const events = await list(`/apis/events.k8s.io/v1/namespaces/${this.namespace}/events`)
    const shared = await get('GET', `${molecule}/runtimes/${this.#of.runtime}`)
    const objects = await Promise.all(collections(this.namespace).map(list))
    return [
      ...objects.flat().map((object) => [`object ${object.metadata.name}`, JSON.stringify(object)] as const),
      ...events.map((event) => ['event', JSON.stringify(event)] as const),
      ['the Runtime', JSON.stringify(shared)],
      ...[...this.#glimpses].map((seen) => ['glimpse', seen] as const),
      ...this.answers.map((answer) => ['answer', answer] as const),
      ...this.launches().map((text) => ['instance', text] as const),
    ]
  }

  /** What its instances were given. */
  launches(): string[] {
    const given = [...this.#world.launches.values()].flat().filter(({ ref }) => ref.namespace === this.namespace)
    return given.map((spec) =>
      JSON.stringify({ ...spec, files: spec.files.map(({ path, content }) => [path, String(content)]) }),
    )
  }

  /** Deletes everything and waits until it is gone. */
  async leave(): Promise<void> {
    const [workspaces, orgs, installs, maps, secrets] = collections(this.namespace)
    for (const path of [orgs, workspaces, installs, maps, secrets]) await gone(this.#world.ask('DELETE', path))
    const empty = async () => {
      const left = await this.#everything()
      for (const [path, { metadata }] of left)
        if (metadata.finalizers?.includes(held)) await this.#finalizers(path, metadata, false)
      return left.length === 0
    }
    // It may hold up itself, as by two Workspaces that each cascade onto the other: then they are taken from it.
    await until(empty, { within: 15_000, every: 200 }).catch(async () => {
      for (const [path] of await this.#everything()) await this.#world.unlock(path)
    })
    this.answers.length = 0
    this.#glimpses.clear()
  }

  async #everything(): Promise<(readonly [path: string, object: KubeObject])[]> {
    const lists = collections(this.namespace).slice(0, 3)
    const found = await Promise.all(
      lists.map(async (path) =>
        (await this.#world.list(path)).map((object) => [`${path}/${object.metadata.name}`, object] as const),
      ),
    )
    return found.flat()
  }

  async #take(step: Step): Promise<void> {
    const [workspaces, orgs, installs, maps] = collections(this.namespace)
    const { runtime: shared, containers } = this.#of
    const put = async (path: string, body: object) => void (await gone(this.#world.ask('PATCH', path, body)))
    const post = async (path: string, body: object) => await gone(this.#world.ask('POST', path, body))
    const remove = async (path: string) => void (await gone(this.#world.ask('DELETE', path)))
    const claims = async (ref: Ref | undefined) => (ref ? claimsOf(await this.#id(ref)) : {})
    switch (step.kind) {
      case 'create': {
        const { wish, slot } = step
        const born = bornWith(wish, await this.#id(wish.adopt?.ref ?? { to: 'nothing' }), containers[0] ?? '')
        const spec = { runtime: shared, ...specOf(wish, shared), ...born }
        const body = workspace(this.namespace, names[slot] ?? '', spec, await claims(wish.claims))
        return void (await post(workspaces, body))
      }
      case 'edit':
        return await put(this.#path(step.slot), { spec: specOf(step.wish, shared) })
      case 'forge': {
        const { row } = step.forgery
        const given = { row: row && (await this.#id(row)), container: containers[0] ?? '', shared }
        return await put(`${this.#path(step.slot)}/status`, { status: forgedStatus(step.forgery, given) })
      }
      case 'mark':
        return await put(this.#path(step.slot), { metadata: await claims(step.claims) })
      case 'delete':
        return await remove(this.#path(step.slot))
      case 'hold': {
        const found = (await gone(this.#world.ask('GET', this.#path(step.slot)))) as KubeObject | undefined
        if (found) await this.#finalizers(this.#path(step.slot), found.metadata, step.finalizers === 'more')
        return
      }
      case 'import': {
        const at = { namespace: this.namespace, name: imports[step.at] ?? '', shared }
        const body = importOf(step, at, await claims(step.claims))
        if ((await post(orgs, body)) === undefined) await put(this.#importPath(step.at), { spec: body.spec })
        return
      }
      case 'forge-import': {
        const nodes = [{ path: 'x', workspaceRef: { name: 'lead' }, phase: 'provisioning' }]
        return await put(`${this.#importPath(step.at)}/status`, { status: { nodes, counts: { ready: 0 } } })
      }
      case 'delete-import':
        return await remove(this.#importPath(step.at))
      case 'install':
        return void (await post(installs, installOf(step.all)))
      case 'data':
        return void (await post(maps, {
          metadata: { name: 'notes', ...(await claims(step.claims)) },
          data: { text: 'own' },
        }))
      case 'call': {
        const self = await this.#uidOf(step.slot)
        const token = { own: this.#world.tokenOf(self), wrong: 'wrong-token-of-nobody-at-all', none: undefined }
        return await this.#call(self, step.call, await this.#id(step.ref), token[step.token])
      }
      case 'pause':
        return await wait(step.ms)
    }
  }

  async #finalizers(path: string, { finalizers = [] }: KubeObject['metadata'], more: boolean): Promise<void> {
    const left = more ? [...finalizers, held] : finalizers.filter((name) => name !== held)
    await gone(this.#world.ask('PATCH', path, { metadata: { finalizers: left } }))
  }

  /** Asks about an id, and the same about one that does not exist: the answers must not differ. */
  async #call(
    self: string,
    call: Parameters<typeof requestOf>[0],
    id: string,
    token: string | undefined,
  ): Promise<void> {
    const { platformUrl } = this.#world
    const about = async (which: string): Promise<Answer> => {
      const answer = await ask(platformUrl, token, requestOf(call, which, self))
      this.answers.push(`${answer.status} ${answer.headers} ${answer.body}`)
      return answer
    }
    const answer = await about(id)
    if (!this.#of.known.has(id)) return
    const unknown = randomUUID()
    const nothing = await about(unknown)
    if (tells(id, answer, nothing, unknown))
      this.told.push(
        `${call} about ${this.#of.known.get(id)}: ${answer.status} ${answer.body}, about nothing: ${nothing.status} ${nothing.body}`,
      )
  }

  async #id(ref: Ref): Promise<string> {
    const { learnt } = this.#of
    switch (ref.to) {
      case 'theirs':
        return learnt[ref.at % learnt.length] ?? ''
      case 'own':
        return await this.#uidOf(ref.slot)
      case 'nothing':
        return randomUUID()
    }
  }

  async #uidOf(slot: number): Promise<string> {
    const found = (await gone(this.#world.ask('GET', this.#path(slot)))) as KubeObject | undefined
    return found?.metadata.uid ?? randomUUID()
  }

  #path(slot: number): string {
    return `${collections(this.namespace)[0]}/${names[slot] ?? ''}`
  }

  #importPath(at: number): string {
    return `${collections(this.namespace)[1]}/${imports[at] ?? ''}`
  }
}

const bound = (world: World) => ({ ask: world.ask, list: (path: string) => world.list(path) })
