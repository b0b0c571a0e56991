/**
 * Where the operator will connect on somebody else's word: an external agent registers any URL it likes, an OrgImport
 * names any repository. Without these rules they could make the operator speak to the metadata service, to itself, or to
 * a neighbour behind the firewall. The rules are kept twice: on the URL, for a clear answer, and on the very address of
 * each connection, because a name may resolve to something else by then. Source: spec/platform-api §9.1, and the
 * special-purpose registries.
 */
import { type LookupAddress, lookup as dnsLookup } from 'node:dns'
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net'
import type { buildConnector } from 'undici'
import connector from 'undici/lib/core/connect.js'
import type { Duration } from './duration.ts'

export type DeploymentMode = 'self-hosted' | 'saas'

/** Whether an IP address may be connected to. */
export type AddressRule = (address: string) => boolean

/** Resolves a name to all its addresses. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>

/** The URL may not be used. `message` names the host and what is wrong with it. */
export class UrlRefused extends Error {
  override readonly name = 'UrlRefused'
}

/** Never: this host, links, metadata services, documentation, benchmarks, multicast, reserved, tunnels. */
const always = `
  0.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24
  198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
  ::/96 ::ffff:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20 5f00::/16
  fc00::/8 fd00:ec2::/32 fe80::/10 fec0::/10 ff00::/8`
  .trim()
  .split(/\s+/)
/** The private networks: agents live there in saas, where the operator shares a network with them by design. */
const unlessSaas = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fd00::/8']

/** `open` lists networks in CIDR notation that an admin opens in spite of all rules. */
export function addressRule(mode: DeploymentMode, open: readonly string[] = []): AddressRule {
  const refused = listOf(mode === 'saas' ? always : [...always, ...unlessSaas])
  const opened = listOf(open)
  return (address) => isIP(address) !== 0 && (opened(address) || !refused(address))
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

export const resolveByDns: Resolve = (host) =>
  new Promise((resolve, reject) => {
    dnsLookup(host, { all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses)))
  })

/** Every address of the host, all of them allowed; else a UrlRefused. A name that does not resolve is refused too. */
async function allowedAddresses(host: string, rule: AddressRule, resolve: Resolve): Promise<readonly LookupAddress[]> {
  const family = isIP(host)
  const found = family === 0 ? await resolve(host).catch(() => []) : [{ address: host, family }]
  if (found.length === 0) throw new UrlRefused(`the name ${host} does not resolve`)
  const bad = found.find(({ address }) => !rule(address))
  if (bad) throw new UrlRefused(`${host} is at ${bad.address}, where the operator does not connect`)
  return found
}

/** The normal form of a URL that an external agent may be reached at. Throws UrlRefused. */
export async function checkedUrl(given: string, rule: AddressRule, resolve: Resolve, limit: Duration): Promise<string> {
  const url = URL.parse(given)
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw new UrlRefused('it is not an http or https URL')
  if (url.username !== '' || url.password !== '') throw new UrlRefused('it carries credentials')
  url.hash = ''
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new UrlRefused(`${url.hostname} does not resolve in time`)), limit)
  try {
    await Promise.race([allowedAddresses(url.hostname.replace(/^\[|\]$/g, ''), rule, resolve), late.promise])
  } finally {
    clearTimeout(timer)
  }
  return url.href
}

/** A connector for undici that connects to a checked address or not at all. */
export function guardedConnector(rule: AddressRule, resolve: Resolve, timeout: Duration): buildConnector.connector {
  const answer = async (...[host, options, callback]: Parameters<LookupFunction>): Promise<void> => {
    try {
      const found = await allowedAddresses(host, rule, resolve)
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
