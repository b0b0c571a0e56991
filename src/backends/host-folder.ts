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

/** The root that a path is in, or is; undefined when there is none. */
export const rootOf = (path: string, roots: readonly string[]): string | undefined =>
  roots.find((root) => path === root || path.startsWith(`${root}/`))
