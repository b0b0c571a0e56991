/**
 * By which URL connections are made. Where a file holds it, as a mounted Secret does, the file is read again at each look of the
 * watchdog, and a new URL is taken once a connection was made by it; until then the one of before serves. So a password can be
 * replaced in the file first and in PostgreSQL next, or the other way round.
 */
import { reasonOf } from '../../errors.ts'
import { News, type Logger } from '../../telemetry/log.ts'

export interface AddressOptions {
  /** The URL at the start. */
  readonly url: string
  /** The URL as it is by now; throws where what is there cannot be used. */
  readonly read: () => string
  readonly log: Logger
  /** Connections of before may be of a user that is about to go. */
  readonly onChange: () => void
}

export class Address {
  readonly #options: AddressOptions
  readonly #news = new News()
  #url: string

  constructor(options: AddressOptions) {
    this.#options = options
    this.#url = options.url
  }

  /** By which a connection was made last. */
  get url(): string {
    return this.#url
  }

  /** Another than that, to be tried; undefined: there is none. A file that is just being written holds none. */
  proposed(): string | undefined {
    try {
      const url = this.#options.read()
      if (url !== this.#url) return url
      this.#news.end()
    } catch (error) {
      this.refused(error)
    }
    return undefined
  }

  /** No connection can be made by what was proposed. */
  refused(error: unknown): void {
    const cause = reasonOf(error)
    if (this.#news.is(cause))
      this.#options.log.warn({ cause }, 'new url of the database cannot be used: the one of before is')
  }

  /** A connection was made by what was proposed. */
  take(url: string): void {
    this.#news.end()
    this.#url = url
    this.#options.log.info('url of the database has changed: connections are made anew by it')
    this.#options.onChange()
  }
}
