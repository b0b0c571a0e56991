/** Whether a Workspace still is what was applied. Pure. */
import type { Workspace } from '../../api/workspace.ts'
import type { Child } from './children.ts'
import { digestAnnotation, idAnnotation, importLabel, nodeAnnotation, othersAnnotation } from './marks.ts'

/** What was applied last is what is wanted now, and has not been changed since. */
export function isAsApplied(live: Workspace, { digest, manifest }: Child): boolean {
  const { annotations, labels, ownerReferences } = live.metadata
  if (annotations?.[digestAnnotation] !== digest) return false
  const marks = manifest.metadata.annotations
  if ([nodeAnnotation, idAnnotation].some((mark) => annotations[mark] !== marks?.[mark])) return false
  if (labels?.[importLabel] !== manifest.metadata.labels?.[importLabel]) return false
  const owner = manifest.metadata.ownerReferences?.[0]?.uid
  return ownerReferences?.some(({ uid }) => uid === owner) === true && differing(live, manifest.spec).length === 0
}

/** Lists that are replaced whole: more than was asked for is a change. */
const atomic: ReadonlySet<string> = new Set(['envFrom', 'memories'])

/** The fields of a spec that are not as `wanted` says, but for those that others hold. */
export function differing(live: Workspace, wanted: Readonly<Record<string, unknown>>): string[] {
  const present = new Map<string, unknown>(Object.entries(live.spec))
  const others = heldByOthers(live)
  return Object.entries(wanted).flatMap(([field, value]) => {
    const there = present.get(field)
    const held = others.has(field) && there !== undefined
    return held || (covers(there, value) && sameLength(field, there, value)) ? [] : [field]
  })
}

const sameLength = (field: string, live: unknown, wanted: unknown) =>
  !atomic.has(field) || (Array.isArray(live) && Array.isArray(wanted) && live.length === wanted.length)

/** Fields of the spec to who holds them. */
export function heldByOthers({ metadata }: Workspace): Map<string, string> {
  const words = (metadata.annotations?.[othersAnnotation] ?? '').split(' ').filter((word) => word !== '')
  return new Map(
    words.map((word): [string, string] => {
      const at = word.indexOf('=')
      return at < 0 ? [word, ''] : [word.slice(0, at), decodeURIComponent(word.slice(at + 1))]
    }),
  )
}

export const showHolders = (holders: ReadonlyMap<string, string>): string =>
  [...holders].map(([field, who]) => `${field}=${encodeURIComponent(who)}`).join(' ')

/**
 * Whether all that `wanted` says is in `live`. What it does not say (defaults, fields of others) is none of its concern;
 * a list of objects may hold more than it asks for, a list of plain values may not.
 */
export function covers(live: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    if (!Array.isArray(live)) return false
    const plain = wanted.every((item) => typeof item !== 'object' || item === null)
    if (plain && live.length !== wanted.length) return false
    return wanted.every((item, i) =>
      plain ? live[i] === item : covers(live[i], item) || live.some((other) => covers(other, item)),
    )
  }
  if (typeof wanted !== 'object' || wanted === null) return live === wanted
  if (typeof live !== 'object' || live === null) return false
  const present = new Map(Object.entries(live))
  return Object.entries(wanted).every(([key, value]) => covers(present.get(key), value))
}
