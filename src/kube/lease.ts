import { wentBack } from './raw.ts'

/** As much of a Lease (coordination.k8s.io/v1) as an election needs. */
export interface Lease {
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly uid?: string
    readonly resourceVersion?: string
  }
  readonly spec: {
    readonly holderIdentity?: string
    readonly leaseDurationSeconds?: number
    readonly acquireTime?: string
    readonly renewTime?: string
    readonly leaseTransitions?: number
  }
}

/** Why a record of the lease does not follow from the one known before. */
export type LeaseBreak =
  /** An older version, or the same one with another content: the store was put back. */
  | 'olderVersion'
  /** Renewed by its holder earlier than it was before: an old record that was written to since, or a clock that stepped back. */
  | 'olderRenewal'
  /** Gone: the store has none yet, or it was deleted. */
  | 'missing'
  /** Another object of the same name: as `missing`, seen later. */
  | 'madeAnew'
  /** Taken by another, or anew by its holder: as an election goes, or after the store was put back and in place of its old record. */
  | 'changedHands'

/**
 * How `found`, a record read now, breaks with `known`, the last one read or written; undefined when it follows from it.
 * `identity` is the reader's own: what is in its name was written by itself, whether the answer came or not.
 *
 * The lease is written every few seconds, so a store that was put back has an older record of it, and a renewal on the newer
 * one is refused (409). Whatever is written to the old record since carries a newer version than any seen before, but it is
 * another's renewal of an older one, or has another holder or another time of taking: a holder that finds its record older
 * takes the lease anew. So not only what proves a store that was put back counts, but all that need not be a renewal.
 */
export function breakOf(known: Lease | undefined, found: Lease | undefined, identity: string): LeaseBreak | undefined {
  if (known === undefined) return undefined
  if (found === undefined) return 'missing'
  const [was, is] = [known.metadata, found.metadata]
  if (wentBack(was.resourceVersion ?? '', is.resourceVersion ?? '')) return 'olderVersion'
  if (was.uid !== is.uid) return 'madeAnew'
  const [before, now] = [known.spec, found.spec]
  if (was.resourceVersion === is.resourceVersion)
    return before.renewTime === now.renewTime && before.holderIdentity === now.holderIdentity
      ? undefined
      : 'olderVersion'
  const sameHolder = before.holderIdentity === now.holderIdentity
  if (sameHolder && timeOf(now.renewTime) < timeOf(before.renewTime)) return 'olderRenewal'
  if (now.holderIdentity === identity) return undefined
  const isGivenBack = (now.holderIdentity ?? '') === ''
  return (sameHolder || isGivenBack) && before.acquireTime === now.acquireTime ? undefined : 'changedHands'
}

/** NaN, which is neither before nor after anything, where there is none. */
const timeOf = (time: string | undefined): number => Date.parse(time ?? '')
