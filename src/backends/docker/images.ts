import { setTimeout as delay } from 'node:timers/promises'
import { seconds } from '../../duration.ts'
import { RetryAfter, Terminal } from '../../errors.ts'
import { redactor, scrub } from '../../redaction.ts'
import type { InstanceSpec } from '../backend.ts'
import type { Engine } from './engine.ts'
import { pullFailure } from './errors.ts'
import type { RegistryAuth, RegistryCredentials } from './registry-credentials.ts'

/** A pull that is over by then is waited for; a longer one goes on by itself and is looked at again. */
const patience = seconds(2)
/** How long everyone who asks is told of one failure, before a registry is asked again. */
const remembered = seconds(30)

type Wanted = Pick<InstanceSpec, 'image' | 'platform'>

/**
 * Images of the engine. One is pulled when it is missing here, and never again: a digest cannot change, and a tag that
 * moves would make of one desired state two. What promotes an image is a new digest.
 */
export class Images {
  readonly #engine: Engine
  readonly #credentials: RegistryCredentials
  readonly #pulls = new Map<string, Promise<Terminal | RetryAfter | undefined>>()

  constructor(engine: Engine, credentials: RegistryCredentials) {
    this.#engine = engine
    this.#credentials = credentials
  }

  /** As `Backend.prepare`. */
  async prepare(wanted: Wanted, signal: AbortSignal): Promise<void> {
    const found = await this.#engine.platformOf(wanted.image, signal)
    if (found === undefined || !matches(found, wanted.platform)) await this.pull(wanted)
  }

  /** One pull an image, however many wait for it. Throws as `prepare` does; resolves when the image is there. */
  async pull(wanted: Wanted): Promise<void> {
    const { image } = wanted
    if (!hasRegistry(image)) throw missing(wanted)
    const ended = await Promise.race([this.#pulling(wanted), delay(patience, 'pending' as const, { ref: false })])
    if (ended === 'pending') throw new RetryAfter(seconds(5), `image "${image}" is being pulled`)
    if (ended !== undefined) throw ended
  }

  #pulling({ image, platform }: Wanted): Promise<Terminal | RetryAfter | undefined> {
    const key = `${image} ${platform ?? ''}`
    const forget = () => void this.#pulls.delete(key)
    const pull =
      this.#pulls.get(key) ??
      this.#pullOnce(image, platform).then((failure) => {
        if (failure === undefined) forget()
        else setTimeout(forget, remembered).unref()
        return failure
      })
    this.#pulls.set(key, pull)
    return pull
  }

  async #pullOnce(image: string, platform: string | undefined): Promise<Terminal | RetryAfter | undefined> {
    let auth: RegistryAuth | undefined
    try {
      auth = await this.#credentials(image)
      await this.#engine.pull(image, platform, auth)
      return undefined
    } catch (error) {
      if (error instanceof RetryAfter) return error
      const { serveraddress: _, ...secrets } = auth ?? { serveraddress: '' }
      // A registry may quote what it was sent.
      scrub(error, redactor(Object.values(secrets).filter((value) => value !== undefined)))
      return pullFailure(error, image, auth === undefined ? 'none' : 'given')
    }
  }
}

/** Whether a reference says where it comes from, `host/…` or `…@sha256:…`: a bare name is a local image's. */
export const hasRegistry = (image: string): boolean =>
  /@sha256:[0-9a-f]{64}$/.test(image) || /^([^/]*[.:][^/]*|localhost)\//.test(image)

/** Of a local image that is not there, or not of that platform. */
export function missing({ image, platform }: Wanted): Terminal {
  const where = `image "${image}"${platform === undefined ? '' : ` for ${platform}`} is not on the Docker host`
  const full = image.includes('/') ? `docker.io/${image}` : `docker.io/library/${image}`
  return new Terminal(
    'ImageMissing',
    `${where}, and a name without a registry is not pulled: build or load it there, or write ${full}`,
  )
}

/** `found` always has a variant where there is one; a wish without it takes any. */
const matches = (found: string, wanted: string | undefined): boolean =>
  wanted === undefined || found === wanted || found.startsWith(`${wanted}/`)
