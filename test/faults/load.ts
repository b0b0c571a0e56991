/** People at work while something breaks: they create Workspaces and change them, and try again when refused. */
import { setTimeout as wait } from 'node:timers/promises'
import { KubeError } from '../../src/kube/kube-error.ts'
import { unready } from './ends.ts'
import type { Seen, World } from './world.ts'

/** Milliseconds between two things that people do. */
const pace = 120

export class Load {
  readonly names: readonly string[]
  readonly #world: World
  /** The display name that was asked for last. A change of it restarts nothing. */
  readonly #wishes = new Map<string, string>()
  readonly #over = new AbortController()
  #working: Promise<void> = Promise.resolve()

  /** How many may be made for now. */
  #allowed: number

  constructor(world: World, size: number, atFirst = size) {
    this.#world = world
    this.#allowed = atFirst
    this.names = Array.from({ length: size }, (_, i) => `load-${i}`)
  }

  /** Creates them one after the other, each followed by a change of an earlier one, and then goes on changing. */
  start(): void {
    this.#working = this.#work()
  }

  /** From now on all of them. */
  allowAll(): void {
    this.#allowed = this.names.length
  }

  /** Stops asking; resolves when the last wish was heard. */
  async stop(): Promise<void> {
    this.#over.abort()
    await this.#working
  }

  /** Why it is not yet as it was asked for. */
  missing(seen: Seen): string | undefined {
    const other = seen.rows.find(({ resource_name, name }) => name !== this.#wishes.get(resource_name))
    if (seen.workspaces.length !== this.#wishes.size)
      return `${seen.workspaces.length} Workspaces of ${this.#wishes.size}`
    const lack = unready(seen, [...this.#wishes.values()])
    return lack ?? (other && `the row of ${other.resource_name} has the name "${other.name}"`)
  }

  /** How many were made. */
  get size(): number {
    return this.#wishes.size
  }

  async #work(): Promise<void> {
    for (let turn = 0; !this.#over.signal.aborted; turn++) {
      const made = this.names.slice(0, this.#allowed)[this.#wishes.size]
      if (made !== undefined) await this.#ask(made, 'POST', `New ${made}`)
      const changed = this.names[turn % Math.max(1, this.#wishes.size)]
      if (changed !== undefined && this.#wishes.has(changed))
        await this.#ask(changed, 'PATCH', `Turn ${turn} of ${changed}`)
      await wait(pace)
    }
  }

  /** One wish, repeated until it is heard: a refusal leaves open whether it was. */
  async #ask(name: string, method: 'POST' | 'PATCH', displayName: string): Promise<void> {
    const { namespace } = this.#world
    const object = {
      apiVersion: 'molecule.dev/v1alpha1',
      kind: 'Workspace',
      metadata: { name, namespace },
      spec: { displayName },
    }
    const path = this.#world.pathOf('workspaces', method === 'PATCH' ? name : '')
    for (;;)
      try {
        await this.#world.ask(method, path, method === 'PATCH' ? { spec: { displayName } } : object)
        break
      } catch (error) {
        if (error instanceof KubeError && error.isAlreadyExists) break
        await wait(500)
      }
    this.#wishes.set(name, displayName)
  }
}
