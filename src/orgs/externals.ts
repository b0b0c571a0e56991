/**
 * `!external { repo, ref, path }`: a file of another repository, which is brought here before the template is rendered. `ref`
 * is a commit, by which the same template is the same tree for good, or a tag.
 */
import { externalsFolder } from './file-tree.ts'
import { resolvePath } from './source-path.ts'

/** A repository at a commit or tag, of which the template includes a file. */
export interface External {
  /** `https://git.example/org/teams`, without a user and a trailing slash; ends in `.git` where the template says so. */
  readonly url: string
  readonly ref: { readonly kind: 'commit' | 'tag'; readonly name: string }
  /** Its files stand below this folder: the key of OrgSource.externals. */
  readonly folder: string
  /** The place that asks first, for messages. */
  readonly askedAt: string
}

const keys: ReadonlySet<string> = new Set(['repo', 'ref', 'path', 'url'])

export type ExternalRef = (Pick<External, 'url' | 'ref' | 'folder'> & { readonly file: string }) | string

/**
 * Reads the map behind the tag; a string says what is wrong with it. `standard`: where `org/teams` is, as `https://git.example`,
 * if that is known.
 */
export function readExternal(map: Readonly<Record<string, unknown>>, standard: string | undefined): ExternalRef {
  const text = (key: string) => (typeof map[key] === 'string' ? map[key].trim() : '')
  const odd = Object.keys(map).find((key) => !keys.has(key))
  if (odd !== undefined) return `!external has no "${odd}": it takes repo, ref, path and url`
  // To YAML, 1.10 is the number 1.1.
  if (typeof map['ref'] === 'number') return '!external takes a ref that looks like a number in quotes: ref: "1.10"'
  const [repo, name, path, host] = [text('repo'), text('ref'), text('path'), text('url')]
  if (repo === '' || name === '' || path === '') return '!external takes repo, ref and path'
  const isWhole = host !== '' || repo.includes('://')
  if (!isWhole && standard === undefined)
    return '!external names no host: write repo: https://git.example/org/teams, or let SOURCE_DEFAULT_HOST of the operator say where org/teams is'
  const url = address(repo, isWhole ? host : (standard ?? ''))
  if (url === undefined)
    return '!external needs a whole address, without user or query: repo: https://git.example/org/teams, or url: https://git.example and repo: org/teams'
  const kind = /^[0-9a-f]{40}$/.test(name) ? 'commit' : 'tag'
  if (!tag.test(name)) return `!external takes a tag or a whole commit id as its ref, not "${name}"`
  const file = path.startsWith('/') ? undefined : resolvePath('', path)
  if (file === undefined || file === '') return `"${path}" is no path inside that repository`
  // No part of an address begins with "@": no repository stands within another, whose files its own would replace.
  const folder = `${externalsFolder}/${bareUrl(url).slice('https://'.length)}/@${name.replaceAll('/', '%2F')}`
  return { url, ref: { kind, name }, folder, file }
}

const segment = '[A-Za-z0-9_][A-Za-z0-9_.-]*'
const whole = new RegExp(`^https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/${segment})+$`)
/** What Git takes for a tag, without what would leave a folder of that name. */
const tag = /^(?!.*(\.\.|\/\/))[A-Za-z0-9_][A-Za-z0-9_.+/-]{0,200}$/

/** By which a repository is known, with and without `.git`: some servers take one of the two, and most take both. */
export const bareUrl = (url: string): string => url.replace(/\/+$/, '').replace(/\.git$/, '')

/** Where the repository is whose files stand below this folder (External.folder). */
export const homeOf = (folder: string): string => `https://${folder.split('/')[1]}`

function address(repo: string, host: string): string | undefined {
  const joined = repo.includes('://') ? (host === '' ? repo : '') : `${host.replace(/\/+$/, '')}/${repo}`
  const url = joined.replace(/\/+$/, '')
  return url.length <= 512 && whole.test(url) && !url.includes('..') ? url : undefined
}
