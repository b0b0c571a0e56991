/** Which folders of the host an instance may be given. Pure: what a path leads to is for the backend to look at. */

/** Of the system in any configuration (lifecycle §1.1), and where sockets and the libraries of programs are. */
const system = new Set([
  'etc',
  'var',
  'proc',
  'sys',
  'dev',
  'boot',
  'sbin',
  'bin',
  'lib',
  'lib32',
  'lib64',
  'usr',
  'run',
])

/** What speaks against a path wherever it may be, as words that follow it; undefined when nothing does. */
export function folderFault(path: string): string | undefined {
  const [first, ...parts] = path.split('/')
  if (first !== '' || parts.length === 0 || path === '/') return 'is not an absolute path of a folder'
  if (parts.some((part) => part === '' || part === '.' || part === '..') || /[\0-\x1f\x7f\\:,]/.test(path))
    return 'is not written out: it has "." or "..", an empty part, or a character that no mount takes'
  return system.has(parts[0] ?? '') ? 'is in a folder of the system' : undefined
}

/**
 * A folder of the host below which each namespace has one of its own name, and in that one for each workspace. Exactly one
 * level: an agent that may write above the folder of another could put a link in its place, between the look at a folder
 * and the mount of it, to any place of the host.
 */
export type Base = string

const ending = '/{namespace}'

/** The bases of a setting `/srv/agents/{namespace},…`, or what speaks against it. */
export function basesOf(entries: readonly string[]): readonly Base[] | { readonly faults: readonly string[] } {
  const bases = [...new Set(entries.map((entry) => (entry.endsWith(ending) ? entry.slice(0, -ending.length) : entry)))]
  const faults = entries.flatMap((entry) => {
    if (!entry.endsWith(ending))
      return [`"${entry}" has no folder for each namespace: "${entry.replace(/\/+$/, '')}${ending}"`]
    const base = entry.slice(0, -ending.length)
    const fault = base.includes('{') ? 'names the namespace twice' : folderFault(base)
    return fault === undefined ? [] : [`"${entry}" ${fault}`]
  })
  for (const outer of bases)
    for (const inner of bases)
      if (inner.startsWith(`${outer}/`)) faults.push(`"${inner}${ending}" lies within "${outer}${ending}"`)
  return faults.length === 0 ? bases : { faults }
}

/** The base that has a path as a folder of this namespace; undefined when there is none. */
export const baseOf = (path: string, namespace: string, bases: readonly Base[]): Base | undefined =>
  bases.find((base) => {
    const own = `${base}/${namespace}/`
    return namespace !== '' && path.startsWith(own) && path.length > own.length && !path.includes('/', own.length)
  })
