/**
 * What DATABASE_URL may be. The driver reads it leniently: it takes any text for the name of a database at `base`, and any
 * `sslmode` that it does not know for verify-full. Pure, but for a look whether named files are there.
 */
import { accessSync, constants } from 'node:fs'

const modes = ['disable', 'no-verify', 'prefer', 'require', 'verify-ca', 'verify-full']
const files = ['sslrootcert', 'sslcert', 'sslkey']
export const databaseUrlExample = 'postgres://user:password@host:5432/database'

/** What is wrong with it, as words that follow its name and hold no part of it that is secret; undefined: nothing. */
export function databaseUrlFault(url: string): string | undefined {
  if (!/^postgres(ql)?:\/\//.test(url)) return `must be a URL like ${databaseUrlExample}`
  if (!isWellFormed(url))
    return `must be a URL like ${databaseUrlExample}, with @ : / ? # % of a password written as %40 %3A %2F %3F %23 %25`
  const query = queryOf(url)
  const mode = query.get('sslmode')
  if (mode !== null && !modes.includes(mode)) return `must have one of ${modes.join(', ')} as its sslmode`
  // libpq tries several hosts in turn; the driver takes one, and ignores what would choose among them.
  if (`${hostsOf(url)}${query.get('host') ?? ''}`.includes(','))
    return 'names several hosts, which is not supported: name one address that leads to the primary, of a proxy or a service'
  if ((query.get('target_session_attrs') ?? 'any') !== 'any')
    return 'has target_session_attrs, which is not supported: name an address that leads to the primary, and leave it out'
  for (const name of files) {
    const path = query.get(name)
    const code = path === null ? undefined : unreadable(path)
    if (code !== undefined) return `names a file that cannot be read: ${name}=${path ?? ''} (${code})`
  }
  return undefined
}

/**
 * The modes `prefer`, `require` and `verify-ca` spelled out as what they are to the driver: it would warn, in plain text
 * on standard error, that its next version takes them for less.
 */
export const withVerifiedMode = (url: string): string =>
  queryOf(url).get('uselibpqcompat') === 'true'
    ? url
    : url.replace(/([?&]sslmode=)(?:prefer|require|verify-ca)(?=[&#]|$)/, '$1verify-full')

/** Whom it names, for messages: `db.example:5432`, or the folder of a socket. */
export function databaseHost(url: string): string {
  const query = queryOf(url)
  const host = query.get('host') ?? hostsOf(url)
  if (host.startsWith('/') || host.includes(',')) return host
  const port = query.get('port') ?? '5432'
  return host === '' ? `localhost:${port}` : /:\d+$/.test(host) ? host : `${host}:${port}`
}

const queryOf = (url: string): URLSearchParams => new URLSearchParams(/\?([^#]*)/.exec(url)?.[1] ?? '')

/** User, password, hosts and ports. */
const authorityOf = (url: string): string => /^\w+:\/\/([^/?#]*)/.exec(url)?.[1] ?? ''

/** The database's name, with the slash before it. */
const pathOf = (url: string): string => /^\w+:\/\/[^/?#]*([^?#]*)/.exec(url)?.[1] ?? ''

const hostsOf = (url: string): string => authorityOf(url).replace(/^.*@/s, '')

function isWellFormed(url: string): boolean {
  // An @ behind the host is one of a password, which a / has cut off: what is left would pass for a host.
  if (url.includes('#') || pathOf(url).includes('@')) return false
  const authority = authorityOf(url)
  const at = authority.lastIndexOf('@') + 1
  // To PostgreSQL several hosts are one URL, and a user without a host is one of the machine's own socket.
  const hosts = authority.slice(at).split(',')
  return hosts.every((host) => URL.parse(`postgres://${authority.slice(0, at)}${host || 'localhost'}/`) !== null)
}

function unreadable(path: string): string | undefined {
  try {
    accessSync(path, constants.R_OK)
    return undefined
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
  }
}
