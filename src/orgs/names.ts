/** Names that follow from an import's UID alone: two imports never collide, and a crash finds again what it made. */
import { createHash } from 'node:crypto'

const longest = 63
const hashLength = 8

/**
 * `<slug>-<8 hex>`, a DNS label: readable by its beginning, unique by its end. `path` is what it stands for within the
 * import: a node's path, or the number of a ConfigMap.
 */
export function ownedName(importUid: string, path: string, readable: string): string {
  const hash = createHash('sha256').update(`${importUid}\n${path}`).digest('hex').slice(0, hashLength)
  return `${slug(readable, longest - hashLength - 1) || 'agent'}-${hash}`
}

/** Letters that have no place in a DNS label lose their marks or become a dash: `Café & Bar` is `cafe-bar`, `&` is ``. */
export function slug(text: string, most: number): string {
  return text
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^-/, '')
    .slice(0, most)
    .replace(/-$/, '')
}

/** A node's path: names from the root joined by `/`, a slash within a name as `~1` and a tilde as `~0`. */
export const nodePath = (parent: string | undefined, name: string): string => {
  const own = name.replaceAll('~', '~0').replaceAll('/', '~1')
  return parent === undefined ? own : `${parent}/${own}`
}
