/**
 * The only way out for sources: https, hosts that the configuration allows, addresses checked as they are dialled,
 * every redirect judged anew, credentials for the first origin alone, and a limit on time and bytes.
 */
import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import request from 'undici/lib/api/api-request.js'
import Agent from 'undici/lib/dispatcher/agent.js'
import { seconds } from '../duration.ts'
import { reasonOf } from '../errors.ts'
import { matchesHost } from '../host-pattern.ts'
import { addressRule, guardedConnector, NameUnresolved, type Resolve, UrlRefused } from '../outbound.ts'
import { tooLarge } from './intake.ts'
import { SourceError, type Credentials } from './source.ts'

/** What the configuration allows. Hosts are `git.example`, `git.example:8443` or `*.example`. */
export interface Reach {
  /** Empty: any public host. */
  readonly hosts: readonly string[]
  /** Hosts that may be spoken to without TLS. */
  readonly plainHosts: readonly string[]
  /** Networks in CIDR notation that are open though they are private. */
  readonly networks: readonly string[]
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly credentials?: Credentials | undefined
  /** Origin that the credentials are for. */
  readonly origin: string
  readonly maxBytes: number
  readonly signal: AbortSignal
}

export interface HttpAnswer {
  /** After redirects. */
  readonly url: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: AsyncGenerator<Uint8Array, void>
}

const mostRedirects = 5
const redirects = new Set([301, 302, 303, 307, 308])

export class Http {
  readonly #reach: Reach
  readonly #agent: Dispatcher

  constructor(reach: Reach, resolve: Resolve) {
    this.#reach = reach
    this.#agent = new Agent({
      // Names are looked up for none in particular: the keeper has few fetches at once, and fewer for one namespace.
      connect: guardedConnector(addressRule(reach.networks), resolve, {}, seconds(10)),
      connections: 4,
      headersTimeout: seconds(30),
      bodyTimeout: seconds(30),
    })
  }

  /** Throws a SourceError unless an answer below 400 came. Redirects are followed for GET alone. */
  async send(asked: HttpRequest): Promise<HttpAnswer> {
    let url = this.check(asked.url)
    for (let hops = 0; ; hops++) {
      const { statusCode, headers, body } = await this.#once(url, asked)
      const to = headers['location']
      if (!redirects.has(statusCode) || typeof to !== 'string') {
        if (statusCode >= 400) {
          await body.dump().catch(() => undefined)
          throw refusedBy(url, statusCode, asked.credentials !== undefined)
        }
        const plain = Object.entries(headers).map(([name, value]) => [name, String(value)] as const)
        const capped = cap(body, asked, url.host)
        return { url: url.href, status: statusCode, headers: Object.fromEntries(plain), body: capped }
      }
      await body.dump().catch(() => undefined)
      if (asked.method !== 'GET' || hops >= mostRedirects)
        throw new SourceError(
          'SourceInvalid',
          `${url.host} redirects ${hops >= mostRedirects ? 'without end' : 'a POST'}`,
        )
      url = this.check(new URL(to, url).href, url)
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  /** Throws a SourceError that shows nothing but the host of a URL: people put tokens into paths and queries. */
  check(text: string, from?: URL): URL {
    const url = URL.parse(text)
    const via = from ? `${from.host} redirects to ` : ''
    const deny = (why: string): never => {
      throw new SourceError('NotAllowed', `${via}${why}`)
    }
    if (!url) return deny('a URL that cannot be read')
    if (url.protocol !== 'https:' && url.protocol !== 'http:') return deny(`a URL that is not https: ${url.protocol}`)
    if (url.username !== '' || url.password !== '')
      return deny('a URL that carries credentials: give them by secretRef')
    const { hosts, plainHosts } = this.#reach
    const plain = plainHosts.some((each) => matchesHost(each, url))
    if (url.protocol === 'http:' && (!plain || from?.protocol === 'https:'))
      return deny(
        `http://${url.host}, which is not encrypted: use https, or let the operator's SOURCE_HTTP_HOSTS name it`,
      )
    if (!plain && hosts.length > 0 && !hosts.some((each) => matchesHost(each, url)))
      return deny(`${url.host}, which is not among the operator's SOURCE_HOSTS`)
    return url
  }

  async #once(url: URL, { method, headers, body, credentials, origin, signal }: HttpRequest) {
    const authorization = credentials && url.origin === origin ? { authorization: headerOf(credentials) } : {}
    try {
      return await request.call(this.#agent, {
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method,
        headers: { 'user-agent': 'git/molecule-operator', ...headers, ...authorization },
        ...(body && { body }),
        signal,
      })
    } catch (error) {
      throw asSourceError(error, url.host, signal)
    }
  }
}

const headerOf = (credentials: Credentials): string =>
  credentials.kind === 'bearer'
    ? `Bearer ${credentials.token}`
    : `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`

function refusedBy({ host }: URL, status: number, withCredentials: boolean): SourceError {
  const says = `${host} answers ${status}`
  if (status === 401 || status === 403)
    return new SourceError(
      'AuthFailed',
      withCredentials
        ? `${says}: it refuses the credentials of secretRef`
        : `${says}: name credentials by secretRef, or check that it exists`,
    )
  if (status === 404 || status === 410) return new SourceError('SourceMissing', `${says}: nothing is there`)
  return new SourceError('SourceUnreachable', says)
}

async function* cap(body: Readable, { maxBytes, signal }: HttpRequest, host: string): AsyncGenerator<Uint8Array, void> {
  let bytes = 0
  try {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      bytes += chunk.byteLength
      if (bytes > maxBytes) tooLarge(`${host} sends more than ${maxBytes} bytes`)
      yield chunk
    }
  } catch (error) {
    throw asSourceError(error, host, signal)
  }
}

function asSourceError(error: unknown, host: string, signal: AbortSignal): SourceError {
  if (error instanceof SourceError) return error
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (cause instanceof NameUnresolved) return new SourceError('SourceUnreachable', cause.message, { cause: error })
    else if (cause instanceof UrlRefused)
      return new SourceError('NotAllowed', `${cause.message}; the operator's SOURCE_NETWORKS can open a network`)
  const why = signal.aborted ? 'no whole answer in time' : reasonOf(error)
  return new SourceError('SourceUnreachable', `${host}: ${why}`, { cause: error })
}
