import type { Key, KubeObject } from '../api/meta.ts'
import type { Fence } from '../fence.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Client, ResourceType } from './client.ts'
import { findCredentials, type CredentialsOptions } from './credentials.ts'
import { Followed, type FollowOptions } from './followed.ts'
import { Informer, type InformerOptions, type InformerTools } from './informer.ts'
import { KubeClient } from './kube-client.ts'
import { Transport } from './transport.ts'

export interface KubeOptions {
  readonly credentials: CredentialsOptions
  readonly log: Logger
  readonly metrics: Metrics
  /** Owner of the fields that `apply` names. */
  readonly fieldManager: string
  /** Requests in flight at once. */
  readonly connections?: number
}

/** One API server, seen by one identity: its transport, and the caches that its writes are remembered in. */
export class Kube {
  readonly transport: Transport
  /** The namespace this process lives in, for its lease. */
  readonly namespace: string
  readonly #options: KubeOptions
  readonly #informers: Informer<KubeObject>[] = []
  readonly #followed: Followed<KubeObject>[] = []

  constructor(options: KubeOptions, transport: Transport, namespace: string) {
    this.#options = options
    this.transport = transport
    this.namespace = namespace
  }

  /** All that is kept in memory, by kind. */
  get caches(): readonly { readonly kind: string; readonly size: number; readonly silence: number }[] {
    return [
      ...this.#informers.map(({ type, cache, silence }) => ({ kind: type.kind, size: cache.size, silence })),
      ...this.#followed.map(({ type, size, silence }) => ({ kind: type.kind, size, silence })),
    ]
  }

  get followed(): readonly Followed<KubeObject>[] {
    return this.#followed
  }

  /** The kinds that must be in memory before anything else runs. */
  get required(): readonly Informer<KubeObject>[] {
    return this.#informers
  }

  /** Keeps a kind in memory, from `start` on. */
  informer<T extends KubeObject>(options: InformerOptions<T>): Informer<T> {
    const informer = new Informer<T>(options, this.#tools)
    // What holds an informer knows its type; here it is only started and told of writes.
    this.#informers.push(informer as unknown as Informer<KubeObject>)
    return informer
  }

  /** A kind of which only those objects are read that something refers to. */
  follow<T extends KubeObject>(options: FollowOptions<T>): Followed<T> {
    const followed = new Followed<T>(options, this.#tools)
    this.#followed.push(followed)
    return followed
  }

  /** Runs all caches until the signal aborts; resolves when the last one has ended. */
  async start(signal: AbortSignal): Promise<void> {
    for (const followed of this.#followed) followed.start(signal)
    await Promise.all(this.#informers.map((informer) => informer.start(signal)))
  }

  /** Fills every cache anew: what was read until now may be of a store that is no more. */
  relist(): void {
    for (const cache of [...this.#informers, ...this.#followed]) cache.relist()
  }

  client(fence?: Fence): Client {
    return new KubeClient({
      transport: this.transport,
      fieldManager: this.#options.fieldManager,
      remember: (type, object) => this.#remember(type, object),
      known: (type, key) => this.#known(type, key),
      ...(fence && { fence }),
    })
  }

  async close(): Promise<void> {
    await this.transport.close()
  }

  get #tools(): InformerTools {
    const { log, metrics } = this.#options
    return { transport: this.transport, log, metrics }
  }

  #known<T extends KubeObject>(type: ResourceType<T>, key: Key): T | undefined {
    return (this.#informers as unknown as readonly Informer<T>[]).find((each) => each.type === type)?.known(key)
  }

  #remember<T extends KubeObject>(type: ResourceType<T>, object: T): void {
    for (const cache of [...this.#informers, ...this.#followed]) {
      const { group, plural } = cache.type
      if (plural === type.plural && group === type.group) cache.remember(object)
    }
  }
}

/** Finds the credentials and the way to the API server. Sends nothing yet. */
export async function createKube(options: KubeOptions): Promise<Kube> {
  const credentials = await findCredentials(options.credentials)
  const { metrics, log, connections } = options
  const transport = new Transport({ credentials, metrics, log, ...(connections !== undefined && { connections }) })
  return new Kube(options, transport, credentials.namespace)
}
