/**
 * Looks up names that agents and templates choose. Not by `dns.lookup`: that waits in one of libuv's four threads, so a
 * few names whose server is silent would hold up the names of PostgreSQL and the API server, and cannot be given up. c-ares
 * asks from the event loop, within a limit of time. What it leaves out is done here: /etc/hosts, and the search list of
 * /etc/resolv.conf for a name that is not found as it stands (a Service of the cluster: `git.sources.svc`).
 *
 * Each caller has two look-ups under way and a namespace a quarter; more wait in line for a moment, then are refused. A
 * name that failed is not asked for again for half a minute.
 */
import type { LookupAddress } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { type Duration, seconds } from './duration.ts'
import { LookUpsBusy, type Resolve, saysNoAddress } from './outbound.ts'
import { type Claim, Places } from './places.ts'

export interface LookUpOptions {
  /** Name servers as `address:port`; those of the system unless given. */
  readonly servers?: readonly string[]
  readonly onBusy?: () => void
  readonly limits?: Partial<typeof limits>
}

const limits = {
  /** For one question to one server, and for a whole look-up. */
  question: seconds(2),
  whole: seconds(4),
  /** In line for a place. */
  patience: seconds(2),
  remembered: seconds(30),
  /** Names that failed; the longest known are forgotten first. */
  failures: 1024,
  /** `reserved` for the operator's own: sources, of which few are fetched at once. */
  places: { total: 16, reserved: 4, pair: Infinity, destination: Infinity, caller: 2 },
  line: { total: 256, reserved: 16, pair: Infinity, destination: Infinity, caller: 8 },
}

interface Waiting {
  readonly claim: Claim
  readonly go: (end: () => void) => void
}

export class LookUps {
  readonly #options: LookUpOptions
  readonly #limits: typeof limits
  readonly #places: Places
  readonly #line: Places
  readonly #waiting = new Set<Waiting>()
  readonly #underWay = new Map<string, Promise<LookupAddress[]>>()
  readonly #failed = new Map<string, { readonly error: unknown; readonly until: Duration }>()

  constructor(options: LookUpOptions = {}) {
    this.#options = options
    this.#limits = { ...limits, ...options.limits }
    this.#places = new Places(this.#limits.places)
    this.#line = new Places(this.#limits.line)
  }

  /**
   * Throws a LookUpsBusy when there is no place in time. `saysNoAddress` tells of any other error whether the name has no
   * address, or no answer came.
   */
  readonly resolve: Resolve = async (host, claim) => {
    const name = host.toLowerCase()
    const known = await fromHosts(name)
    if (known.length > 0) return known
    const failed = this.#failed.get(name)
    if (failed !== undefined && performance.now() < failed.until) throw failed.error
    return await (this.#underWay.get(name) ?? this.#begin(name, claim))
  }

  async #begin(name: string, claim: Claim): Promise<LookupAddress[]> {
    const end = await this.#place(claim)
    const asked = this.#underWay.get(name) ?? this.#ask(name)
    this.#underWay.set(name, asked)
    try {
      return await asked
    } finally {
      this.#underWay.delete(name)
      end()
      this.#next()
    }
  }

  async #ask(name: string): Promise<LookupAddress[]> {
    const { question: timeout, whole, remembered, failures } = this.#limits
    const resolver = new Resolver({ timeout, tries: 1 })
    if (this.#options.servers) resolver.setServers(this.#options.servers)
    const timer = setTimeout(() => resolver.cancel(), whole)
    try {
      return await searched(name, (each) => addressesOf(resolver, each))
    } catch (error) {
      const [oldest] = this.#failed.keys()
      if (this.#failed.size >= failures && oldest !== undefined) this.#failed.delete(oldest)
      this.#failed.set(name, { error, until: (performance.now() + remembered) as Duration })
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  #place(claim: Claim): Promise<() => void> {
    const place = this.#places.take(claim)
    if (typeof place !== 'string') return Promise.resolve(place)
    const inLine = this.#line.take(claim)
    return new Promise((resolve, reject) => {
      const refuse = () => {
        this.#options.onBusy?.()
        reject(new LookUpsBusy('too many names are being looked up'))
      }
      if (typeof inLine === 'string') return refuse()
      const leave = () => {
        clearTimeout(timer)
        this.#waiting.delete(waiting)
        inLine()
      }
      const waiting: Waiting = {
        claim,
        go: (end) => {
          leave()
          resolve(end)
        },
      }
      const timer = setTimeout(() => {
        leave()
        refuse()
      }, this.#limits.patience)
      this.#waiting.add(waiting)
    })
  }

  #next(): void {
    for (const { claim, go } of this.#waiting) {
      const place = this.#places.take(claim)
      if (typeof place !== 'string') go(place)
    }
  }
}

async function addressesOf(resolver: Resolver, name: string): Promise<LookupAddress[]> {
  const [four, six] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)])
  const found = (answer: typeof four, family: 4 | 6) =>
    answer.status === 'fulfilled' ? answer.value.map((address) => ({ address, family })) : []
  // Of two errors the one that leaves it open: the other family might have had an address.
  if (four.status === 'rejected' && six.status === 'rejected')
    throw saysNoAddress(four.reason) ? six.reason : four.reason
  return [...found(four, 4), ...found(six, 6)]
}

/** As it stands, then below each domain of the search list; a name that ends with a dot, only as it stands. */
async function searched(name: string, ask: (name: string) => Promise<LookupAddress[]>): Promise<LookupAddress[]> {
  const below = name.endsWith('.') ? [] : (await searchList()).map((domain) => `${name}.${domain}`)
  const [first = name, ...others] = name.includes('.') ? [name, ...below] : [...below, name]
  let answer = ask(first)
  for (const other of others)
    answer = answer.catch((error: NodeJS.ErrnoException) => {
      if (!saysNoAddress(error)) throw error
      return ask(other)
    })
  return await answer
}

/** Lines of a file of the system without comments, as words. */
async function linesOf(path: string): Promise<string[][]> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return text.split('\n').map((line) =>
    line
      .replace(/[#;].*/, '')
      .trim()
      .toLowerCase()
      .split(/\s+/),
  )
}

async function searchList(): Promise<string[]> {
  const last = (await linesOf('/etc/resolv.conf')).findLast(([word]) => word === 'search' || word === 'domain')
  return (last ?? []).slice(1, 7).map((domain) => domain.replace(/\.$/, ''))
}

async function fromHosts(name: string): Promise<LookupAddress[]> {
  const plain = name.replace(/\.$/, '')
  const lines = await linesOf('/etc/hosts')
  const found = lines.filter(([address = '', ...names]) => isIP(address) !== 0 && names.includes(plain))
  const addresses = found.map(([address = '']) => ({ address, family: isIP(address) }))
  // RFC 6761: never asked of a server.
  return addresses.length === 0 && (plain === 'localhost' || plain.endsWith('.localhost'))
    ? [{ address: '127.0.0.1', family: 4 }]
    : addresses
}
