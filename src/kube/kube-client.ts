import { keyOf, type Key, type KubeObject } from '../api/meta.ts'
import type { Fence } from '../fence.ts'
import type { Client, Manifest, ResourceType } from './client.ts'
import type { Call } from './exchange.ts'
import { KubeError } from './kube-error.ts'
import { collectionPath, objectPath, strip, type RawObject } from './raw.ts'
import type { Transport } from './transport.ts'

export interface KubeClientOptions {
  readonly transport: Transport
  /** Owner of the fields that `apply` names. */
  readonly fieldManager: string
  /** Without one every write is allowed: for tools that are no leader. */
  readonly fence?: Fence
  /** Gets the answer of every write: caches learn from it before their watch does. */
  readonly remember?: <T extends KubeObject>(type: ResourceType<T>, object: T) => void
  /** The object as a cache has it: most writes are of a status, and their answers repeat the spec. */
  readonly known?: <T extends KubeObject>(type: ResourceType<T>, key: Key) => T | undefined
}

const isObject = (answer: unknown): answer is { kind?: unknown } => typeof answer === 'object' && answer !== null

/** The Client of client.ts over one transport. */
export class KubeClient implements Client {
  readonly #options: KubeClientOptions

  constructor(options: KubeClientOptions) {
    this.#options = options
  }

  async get<T extends KubeObject>(type: ResourceType<T>, key: Key, signal?: AbortSignal): Promise<T | undefined> {
    try {
      const raw = await this.#options.transport.send({
        method: 'GET',
        path: objectPath(type, key),
        verb: 'get',
        signal,
      })
      return this.#parse(type, raw)
    } catch (error) {
      if (error instanceof KubeError && error.isNotFound) return undefined
      throw error
    }
  }

  async create<T extends KubeObject>(type: ResourceType<T>, manifest: Manifest, signal?: AbortSignal): Promise<T> {
    const path = `${collectionPath(type, manifest.metadata.namespace)}?${this.#manager}`
    return await this.#write(type, { method: 'POST', path, verb: 'create', body: manifest, signal })
  }

  async apply<T extends KubeObject>(
    type: ResourceType<T>,
    manifest: Manifest,
    signal?: AbortSignal,
    manner: 'take' | 'ask' = 'take',
  ): Promise<T> {
    const path = `${objectPath(type, keyOf(manifest))}?${this.#manager}&force=${manner === 'take'}`
    const contentType = 'application/apply-patch+yaml'
    return await this.#write(type, { method: 'PATCH', path, verb: 'apply', body: manifest, contentType, signal })
  }

  async mergePatch<T extends KubeObject>(
    type: ResourceType<T>,
    key: Key,
    patch: object,
    signal?: AbortSignal,
  ): Promise<T> {
    return await this.#patch(type, objectPath(type, key), 'patch', patch, signal)
  }

  async mergePatchStatus<T extends KubeObject>(
    type: ResourceType<T>,
    key: Key,
    patch: object,
    signal?: AbortSignal,
  ): Promise<T> {
    return await this.#patch(type, `${objectPath(type, key)}/status`, 'patch_status', patch, signal)
  }

  async delete<T extends KubeObject>(
    type: ResourceType<T>,
    key: Key,
    uid: string,
    signal?: AbortSignal,
  ): Promise<void> {
    const body = { kind: 'DeleteOptions', apiVersion: 'v1', preconditions: { uid }, propagationPolicy: 'Background' }
    const { transport, fence, remember } = this.#options
    try {
      const path = objectPath(type, key)
      const answer = await transport.send({ method: 'DELETE', path, verb: 'delete', body, signal, fence })
      // What has finalizers stays for now and is the answer; of what is gone there is only a Status.
      if (isObject(answer) && answer.kind === type.kind) remember?.(type, this.#parse(type, answer))
    } catch (error) {
      // 404: it is gone. 409: the name belongs to another uid, so ours is gone.
      if (!(error instanceof KubeError && (error.isNotFound || error.isConflict))) throw error
    }
  }

  async #patch<T extends KubeObject>(
    type: ResourceType<T>,
    path: string,
    verb: string,
    body: object,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const contentType = 'application/merge-patch+json'
    return await this.#write(type, {
      method: 'PATCH',
      path: `${path}?${this.#manager}`,
      verb,
      body,
      contentType,
      signal,
    })
  }

  async #write<T extends KubeObject>(type: ResourceType<T>, call: Call): Promise<T> {
    const { transport, fence, remember, known } = this.#options
    const raw = strip((await transport.send({ ...call, fence })) as RawObject, type)
    const object = type.parse(raw, known?.(type, keyOf(raw)))
    remember?.(type, object)
    return object
  }

  #parse<T extends KubeObject>(type: ResourceType<T>, raw: unknown): T {
    return type.parse(strip(raw as RawObject, type))
  }

  get #manager(): string {
    return `fieldManager=${encodeURIComponent(this.#options.fieldManager)}`
  }
}
