/**
 * Where the operator will connect on somebody else's word: an external agent registers any URL it likes, an OrgImport
 * names any repository. Without these rules they could make the operator speak to the metadata service, to itself, or to
 * a neighbour behind the firewall. The rules are kept twice: on the URL, for a clear answer, and on the very address of
 * each connection, because a name may resolve to something else by then. Source: spec/platform-api §9.1, and the
 * special-purpose registries.
 */
import type { LookupAddress } from 'node:dns'
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net'
import type { buildConnector } from 'undici'
import connector from 'undici/lib/core/connect.js'
import type { Duration } from './duration.ts'
import type { Claim } from './places.ts'

/** Whether an IP address may be connected to. */
export type AddressRule = (address: string) => boolean

/** Resolves a name to all its addresses; the claim says for whom. */
export type Resolve = (host: string, claim: Claim) => Promise<readonly LookupAddress[]>

/** A name was not looked up: too many others are. */
export class LookUpsBusy extends Error {
  override readonly name = 'LookUpsBusy'
}

/** The URL may not be used. `message` names the host and what is wrong with it. */
export class UrlRefused extends Error {
  override readonly name: string = 'UrlRefused'
}

/** Its name has no address, or none now: a fault of names, which may pass, and no matter of what is allowed. */
export class NameUnresolved extends UrlRefused {
  override readonly name: string = 'NameUnresolved'
}

/** No name server said whether the name has an address: asked again later, it may be found. */
export class LookUpFailed extends NameUnresolved {
  override readonly name = 'LookUpFailed'
}

/** With these a name server says that a name has no address, now and when asked again; and what is no name at all. */
const noAddress = new Set(['ENOTFOUND', 'ENODATA', 'EBADNAME'])

/** Whether an error of a look-up says of the name that it has no address. Any other says only that no answer came. */
export const saysNoAddress = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && noAddress.has(String(error.code))

/**
 * Never, whatever is opened: metadata services of clouds, and IPv6 forms that carry an IPv4 address past the rules for
 * those (compatible, mapped, SIIT, NAT64, Teredo, 6to4).
 */
const never = `
  169.254.169.254/32 169.254.170.2/32 169.254.170.23/32 100.100.100.200/32 168.63.129.16/32
  fd00:ec2::254/128 fd20:ce::254/128 fe80::a9fe:a9fe/128
  ::/96 ::ffff:0:0/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 2001::/32 2002::/16`
/** Unless opened: this host, links, private networks, documentation, benchmarks, multicast, reserved. */
const special = `
  0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24
  192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
  2001::/23 2001:db8::/32 3fff::/20`
/** Of IPv6, what is given out for public use; all else is refused with what is special. */
const global = listOf(['2000::/3'])
const words = (text: string) => text.trim().split(/\s+/)
const neverOpen = listOf(words(never))
const isSpecial = listOf(words(special))

/** `open` lists networks in CIDR notation that an admin opens, the private ones among them. */
export function addressRule(open: readonly string[] = []): AddressRule {
  const opened = listOf(open)
  const isPublic = (address: string) => !isSpecial(address) && (isIP(address) === 4 || global(address))
  // A zone names a link of this host.
  return (address) =>
    isIP(address) !== 0 && !address.includes('%') && !neverOpen(address) && (opened(address) || isPublic(address))
}

/** Two lists, since one BlockList takes an IPv4 address for its IPv4-mapped IPv6 twin and would refuse them all. */
function listOf(networks: readonly string[]): AddressRule {
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() }
  for (const network of networks) {
    const [address = '', bits] = network.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    lists[family].addSubnet(address, Number(bits), family)
  }
  return (address) => {
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    return lists[family].check(address, family)
  }
}

/**
 * Every address of the host, all of them allowed; else a UrlRefused. A name that does not resolve is refused too, as a
 * LookUpFailed where no name server could tell.
 */
async function allowedAddresses(
  host: string,
  rule: AddressRule,
  resolve: Resolve,
  claim: Claim,
): Promise<readonly LookupAddress[]> {
  const family = isIP(host)
  const missing = (error: unknown) => {
    if (error instanceof LookUpsBusy) throw error
    if (saysNoAddress(error)) return []
    throw new LookUpFailed(`the name ${host} cannot be looked up at the moment`, { cause: error })
  }
  const found = family === 0 ? await resolve(host, claim).catch(missing) : [{ address: host, family }]
  if (found.length === 0) throw new NameUnresolved(`the name ${host} does not resolve`)
  const bad = found.find(({ address }) => !rule(address))
  if (bad) throw new UrlRefused(`${host} is at ${bad.address}, where the operator does not connect`)
  return found
}

/** The normal form of a URL that an external agent may be reached at. Throws UrlRefused (LookUpFailed) or LookUpsBusy. */
export async function checkedUrl(
  given: string,
  rule: AddressRule,
  resolve: Resolve,
  claim: Claim,
  limit: Duration,
): Promise<string> {
  const url = URL.parse(given)
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw new UrlRefused('it is not an http or https URL')
  if (url.username !== '' || url.password !== '') throw new UrlRefused('it carries credentials')
  url.hash = ''
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => late.reject(new LookUpFailed(`the name ${url.hostname} does not resolve in time`)),
    limit,
  )
  try {
    await Promise.race([allowedAddresses(url.hostname.replace(/^\[|\]$/g, ''), rule, resolve, claim), late.promise])
  } finally {
    clearTimeout(timer)
  }
  return url.href
}

/** A connector for undici that connects to a checked address or not at all; it looks names up for `claim`. */
export function guardedConnector(
  rule: AddressRule,
  resolve: Resolve,
  claim: Claim,
  timeout: Duration,
): buildConnector.connector {
  const answer = async (...[host, options, callback]: Parameters<LookupFunction>): Promise<void> => {
    try {
      const found = await allowedAddresses(host, rule, resolve, claim)
      if (options.all) callback(null, [...found])
      else callback(null, found[0]?.address ?? '', found[0]?.family ?? 0)
    } catch (error) {
      callback(error as NodeJS.ErrnoException, '')
    }
  }
  const lookup: LookupFunction = (...question) => void answer(...question)
  const connect = connector({ timeout, lookup })
  return (options, callback) => {
    // A literal address is never looked up, so it is judged here.
    if (isIP(options.hostname) !== 0 && !rule(options.hostname))
      callback(new UrlRefused(`${options.hostname} is an address where the operator does not connect`), null)
    else connect(options, callback)
  }
}

/** For addresses that a backend of this machine published: 127.0.0.1 and its like, by number and never by name. */
export function loopbackConnector(timeout: Duration): buildConnector.connector {
  const connect = connector({ timeout })
  return (options, callback) => {
    if (isIP(options.hostname) !== 0 && loopback(options.hostname)) connect(options, callback)
    else callback(new UrlRefused(`${options.hostname} is not an address at which this machine runs agents`), null)
  }
}

const loopback = listOf(['127.0.0.0/8', '::1/128'])
