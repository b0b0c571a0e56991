/**
 * `!external { repo, ref, path }`: a file of another repository, which is brought here by whoever reads sources. A
 * template names the commit, so that the same template is the same tree.
 */
import { externalsFolder } from './file-tree.ts'
import { resolvePath } from './source-path.ts'

/** A repository at a commit, of which the template includes a file. */
export interface External {
  /** `https://git.example/org/teams`, without a user and a trailing slash. */
  readonly url: string
  /** 40 hexadecimal digits. */
  readonly commit: string
  /** Its files stand below this folder: the key of OrgSource.externals. */
  readonly folder: string
  /** The place that asks first, for messages. */
  readonly askedAt: string
}

const keys: ReadonlySet<string> = new Set(['repo', 'ref', 'path', 'url'])

export type ExternalRef =
  { readonly url: string; readonly commit: string; readonly folder: string; readonly file: string } | string

/** Reads the map behind the tag; a string says what is wrong with it. */
export function readExternal(map: Readonly<Record<string, unknown>>): ExternalRef {
  const text = (key: string) => (typeof map[key] === 'string' ? map[key].trim() : '')
  const odd = Object.keys(map).find((key) => !keys.has(key))
  if (odd !== undefined) return `!external has no "${odd}": it takes repo, ref, path and url`
  const [repo, commit, path, host] = [text('repo'), text('ref'), text('path'), text('url')]
  if (repo === '' || commit === '' || path === '') return '!external takes repo, ref and path'
  const url = address(repo, host)
  if (url === undefined)
    return '!external needs a whole address, without user, port or query: repo: https://git.example/org/teams, or url: https://git.example and repo: org/teams'
  if (!/^[0-9a-f]{40}$/.test(commit))
    return `!external takes a pinned ref, a whole commit id of 40 digits and a to f, not "${commit}"`
  const file = path.startsWith('/') ? undefined : resolvePath('', path)
  if (file === undefined || file === '') return `"${path}" is no path inside that repository`
  return { url, commit, folder: `${externalsFolder}/${url.slice('https://'.length)}/${commit}`, file }
}

const segment = '[A-Za-z0-9_][A-Za-z0-9_.-]*'
const whole = new RegExp(`^https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(/${segment})+$`)

function address(repo: string, host: string): string | undefined {
  const joined = repo.includes('://') ? (host === '' ? repo : '') : `${host.replace(/\/+$/, '')}/${repo}`
  const url = joined.replace(/\/+$/, '').replace(/\.git$/, '')
  return url.length <= 512 && whole.test(url) && !url.includes('..') ? url : undefined
}
