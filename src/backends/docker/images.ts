import { setTimeout as delay } from 'node:timers/promises'
import { seconds } from '../../duration.ts'
import { RetryAfter, Terminal } from '../../errors.ts'
import type { InstanceSpec } from '../backend.ts'
import type { Engine } from './engine.ts'
import { pullFailure } from './errors.ts'

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
  readonly #pulls = new Map<string, Promise<Terminal | RetryAfter | undefined>>()

  constructor(engine: Engine) {
    this.#engine = engine
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
      this.#engine.pull(image, platform).then(
        () => {
          forget()
          return undefined
        },
        (error: unknown) => {
          setTimeout(forget, remembered).unref()
          return pullFailure(error, image)
        },
      )
    this.#pulls.set(key, pull)
    return pull
  }
}

/** Whether a reference says where it comes from, `host/…` or `…@sha256:…`: a bare name is a local image's. */
export const hasRegistry = (image: string): boolean =>
  /@sha256:[0-9a-f]{64}$/.test(image) || /^([^/]*[.:][^/]*|localhost)\//.test(image)

/** Of a local image that is not there, or not of that platform. */
export const missing = ({ image, platform }: Wanted): Terminal =>
  new Terminal(
    'ImageMissing',
    `image "${image}"${platform === undefined ? '' : ` for ${platform}`} is not on the Docker host`,
  )

/** `found` always has a variant where there is one; a wish without it takes any. */
const matches = (found: string, wanted: string | undefined): boolean =>
  wanted === undefined || found === wanted || found.startsWith(`${wanted}/`)
