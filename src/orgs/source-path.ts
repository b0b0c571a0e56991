/**
 * Paths of a template's files, and how they travel as ConfigMap keys. A key may hold only letters, digits, `-`, `.` and
 * `_`, so a slash is written `__` and whatever else a key cannot hold `_xHH`, byte by byte in UTF-8:
 *
 *   org.yaml                            org.yaml
 *   design-director/system-prompt.md    design-director__system-prompt.md
 *   notes/a b.md                        notes__a_x20b.md
 *
 * A lone underscore stays as it is unless it could be read as one of these two. Every path has one key, every key one
 * path.
 */
import { OrgError } from './org-error.ts'

const longestKey = 253

/** The key of a path. Throws an OrgError when it would be longer than a key may be. */
export function encodePath(path: string): string {
  const characters = Array.from(path)
  const key = characters.map((character, i) => {
    if (character === '/') return '__'
    if (character === '_') return standsAlone(characters[i + 1]) ? '_' : '_x5F'
    // Kubernetes refuses keys that begin with "..", and the keys "." and "..".
    if (character === '.' && i === 0 && (characters.length === 1 || characters[1] === '.')) return '_x2E'
    return /[-.A-Za-z0-9]/.test(character) ? character : escaped(character)
  })
  const text = key.join('')
  if (text.length > longestKey)
    throw new OrgError('SourceInvalid', `the path "${path}" is too long for a ConfigMap key (${longestKey} characters)`)
  return text
}

const standsAlone = (next: string | undefined) => next === undefined || /[-.A-Za-wyz0-9]/.test(next)

const escaped = (character: string) =>
  [...new TextEncoder().encode(character)]
    .map((byte) => `_x${byte.toString(16).toUpperCase().padStart(2, '0')}`)
    .join('')

/** The path that a key stands for. Throws an OrgError when it leaves the template or is not UTF-8. */
export function decodePath(key: string): string {
  const path = key.replaceAll(/__|(?:_x[0-9A-F]{2})+/g, (mark) => {
    if (mark === '__') return '/'
    const bytes = Uint8Array.from(mark.split('_x').slice(1), (hex) => Number.parseInt(hex, 16))
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    } catch (cause) {
      throw new OrgError('SourceInvalid', `the key "${key}" does not stand for a path: not UTF-8`, undefined, { cause })
    }
  })
  if (path === '' || path.startsWith('/') || path.includes('\0') || resolvePath('', path) !== path)
    throw new OrgError('SourceInvalid', `the key "${key}" does not stand for a path inside the template`)
  return path
}

/**
 * `target` as seen from the folder `base` ("" is the template's root), with `.` and `..` worked out; undefined when it
 * leaves the template. A leading slash means nothing, as it always did: `/etc/x` is `etc/x` below `base`.
 */
export function resolvePath(base: string, target: string): string | undefined {
  const parts: string[] = []
  for (const part of `${base}/${target}`.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) return undefined
  }
  return parts.join('/')
}

/** The folder a file is in; "" for the root. */
export const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')))
