/**
 * The digest of a desired state, in three parts that change for different reasons: `content.image.restart`. Which part
 * differs decides when the instance is replaced, without a second place that remembers why. Pure.
 */
import { createHash } from 'node:crypto'

const parts = ['content', 'image', 'restart'] as const
export type HashPart = (typeof parts)[number]

const digest = (value: unknown, length: number): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, length)

/** `image` and `restart` are undefined where there is none: the part is then empty, and never differs. */
export const specHashOf = (wish: {
  readonly content: unknown
  readonly image: string | undefined
  readonly restart: string | undefined
}): string =>
  [
    digest(wish.content, 32),
    wish.image === undefined ? '' : digest(wish.image, 12),
    wish.restart === undefined ? '' : digest(wish.restart, 12),
  ].join('.')

/** What differs between two desired states. A hash of another form differs in its content. */
export function changedParts(from: string, to: string): ReadonlySet<HashPart> {
  const [was, is] = [from.split('.'), to.split('.')]
  return new Set(parts.filter((_, i) => was[i] !== is[i]))
}

/** An annotation that was taken away asks for nothing: only a new one is a wish to restart. */
export function sameWish(from: string, to: string): boolean {
  const changed = changedParts(from, to)
  return changed.size === 0 || (changed.size === 1 && changed.has('restart') && to.endsWith('.'))
}
