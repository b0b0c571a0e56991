/**
 * The networks of instances: one a namespace, and a further one once all before are full. What runs on one can reach
 * neither what else runs on it nor another network, so that a namespace may have any number of them. Each has a subnet
 * of its own out of the operator's pool, since the engine's own pools end at some thirty networks.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { minutes, seconds } from '../../duration.ts'
import { RetryAfter, Terminal } from '../../errors.ts'
import type { Engine, Network, Write } from './engine.ts'
import { failureOf } from './errors.ts'
import { networkName } from './ownership.ts'
import { overlap, type Range, rangeOf, routesIn, subnetsOf, textOf } from './subnets.ts'

interface NetworkOptions {
  readonly engine: Engine
  readonly pool: readonly string[]
  /** Whether the engine is on this machine, whose routes then say what is taken. */
  readonly local: boolean
}

export class Networks {
  readonly #engine: Engine
  readonly #pool: readonly Range[]
  readonly #local: boolean
  /** Networks that can be used, by namespace. One look a process: concurrent launches share it. */
  readonly #known = new Map<string, Promise<Network[]>>()
  /** Ids of those that had no address left, until an instance leaves. */
  readonly #full = new Set<string>()
  /** One after the other: two at once would take the same subnet. */
  #making: Promise<unknown> = Promise.resolve()

  constructor({ engine, pool, local }: NetworkOptions) {
    this.#engine = engine
    this.#pool = pool.flatMap((text) => rangeOf(text) ?? [])
    this.#local = local
  }

  /** The network on which the next instance of a namespace is to start. Throws `RetryAfter` when the pool is used up. */
  async open(namespace: string, write: Write): Promise<Network> {
    const free = (all: readonly Network[]) => all.find(({ id }) => !this.#full.has(id))
    const found = free(await this.#networksOf(namespace, write))
    if (found !== undefined) return found
    const making = this.#making.then(async () => {
      const known = await this.#networksOf(namespace, write)
      // Another launch that waited for the same may have made it meanwhile.
      return free(known) ?? (await this.#make(namespace, known, write))
    })
    this.#making = making.catch(() => {})
    return making
  }

  /** It had no address for another instance. */
  markFull(id: string): void {
    this.#full.add(id)
  }

  /** An instance has left these networks. */
  markLeft(ids: readonly string[]): void {
    for (const id of ids) this.#full.delete(id)
  }

  /** What is known of the networks of a namespace no longer holds. */
  forget(namespace: string): void {
    this.#known.delete(namespace)
  }

  /** Takes away the networks of a namespace that has no container left, and the one of all namespaces once it is unused. */
  async removeUnused(namespace: string, write: Write): Promise<void> {
    if (await this.#engine.hasContainers(namespace, write.signal)) return
    this.forget(namespace)
    for (const network of await this.#engine.networks(write.signal))
      if (network.namespace === undefined || network.namespace === namespace)
        await this.#engine.removeNetwork(network.id, write)
  }

  /** Takes away every network of this operator that no container runs on. */
  async removeAll(write: Write): Promise<void> {
    this.#known.clear()
    for (const { id } of await this.#engine.networks(write.signal)) await this.#engine.removeNetwork(id, write)
  }

  async #networksOf(namespace: string, write: Write): Promise<Network[]> {
    const known = this.#known.get(namespace) ?? this.#look(namespace, write)
    this.#known.set(namespace, known)
    try {
      return await known
    } catch (error) {
      this.forget(namespace)
      throw error
    }
  }

  /**
   * Two processes may make a network of one name at once, and the engine starts nothing on either while there are both:
   * each of the two processes leaves the older one.
   */
  async #look(namespace: string, write: Write): Promise<Network[]> {
    const byName = new Map<string, Network>()
    for (const network of await this.#engine.networks(write.signal)) {
      if (network.namespace !== namespace || !network.isolating) continue
      if (byName.has(network.name)) await this.#engine.removeNetwork(network.id, write)
      else byName.set(network.name, network)
    }
    return [...byName.values()]
  }

  async #make(namespace: string, known: readonly Network[], write: Write): Promise<Network> {
    const names = new Set(known.map(({ name }) => name))
    let number = 1
    while (names.has(networkName(this.#engine.operator, namespace, number))) number++
    const name = networkName(this.#engine.operator, namespace, number)
    this.forget(namespace)
    for (const subnet of await this.#freeSubnets(name, write.signal)) {
      try {
        await this.#engine.createNetwork(name, namespace, textOf(subnet), write)
        const made = await this.#named(name, namespace, write)
        if (made !== undefined) return made
        throw new RetryAfter(seconds(1), 'the network of the instances was removed and is made again')
      } catch (error) {
        const failure = failureOf(error)
        if (failure !== 'overlap' && failure !== 'conflict') throw error
        // Another process of this operator may have made it since the list was read.
        const ours = await this.#named(name, namespace, write)
        if (ours !== undefined) return ours
        if (failure === 'overlap') continue
        throw new Terminal(
          'NameTaken',
          `network ${name} exists and is not this operator's, or lets containers reach each other`,
        )
      }
    }
    const pool = this.#pool.map(textOf).join(', ')
    throw new RetryAfter(minutes(1), `no subnet is free for another network in DOCKER_SUBNETS (${pool})`, {
      reason: 'NetworkPoolExhausted',
    })
  }

  async #named(name: string, namespace: string, write: Write): Promise<Network | undefined> {
    return (await this.#look(namespace, write)).find((network) => network.name === name)
  }

  /** Neither another network's nor one that this machine has a way to, which the engine would take without a word. */
  async #freeSubnets(name: string, signal: AbortSignal): Promise<Iterable<Range>> {
    const taken = (await this.#engine.subnets(signal)).flatMap((text) => rangeOf(text) ?? [])
    if (this.#local) taken.push(...routesIn(await readFile('/proc/net/route', 'utf8').catch(() => '')))
    const seed = createHash('sha256').update(name).digest().readUInt32BE()
    return Iterator.from(subnetsOf(this.#pool, seed)).filter((subnet) => !taken.some((other) => overlap(subnet, other)))
  }
}
