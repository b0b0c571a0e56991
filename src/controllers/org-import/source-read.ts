/** What reading a source gives: files and how they are called, or why there are none. */
import type { OrgSource } from '../../orgs/source.ts'
import type { Sight, SourceFault, SourceRequest } from '../../sources/source.ts'
import { minutes } from '../../duration.ts'
import type { Obstacle } from './obstacle.ts'

export interface SourceRead {
  readonly source: OrgSource
  /** What people recognise it by: a resourceVersion, a generation, a commit. */
  readonly revision: string
  /** Changes whenever the source does. */
  readonly identity: string
  /** The other repositories that it refers to, each as `https://git.example/org/teams v1.0.0@sha1:<commit>`. */
  readonly externals?: readonly string[]
  /** Why nothing newer can be seen. */
  readonly trouble?: string
}

/** Asks the sources, in one of the import's slots. */
export type Look = (request: SourceRequest, slot: string) => Sight

/** Why the source cannot be read. */
export const sourceObstacle = (reason: Obstacle['reason'], message: string, waits = false): Obstacle => ({
  condition: 'SourceReady',
  reason,
  message,
  waits,
})

/** How often it is looked for what a person mends where no watch tells of it; the sources ask in their own time. */
export const outside = minutes(1)

/** A host that does not answer may do so later; the rest needs a person, and is still looked at anew. */
export const faulty = ({ fault, message }: { fault: SourceFault; message: string }, what: string): Obstacle =>
  fault === 'SourceUnreachable'
    ? sourceObstacle(fault, `${what}: ${message}`, true)
    : { ...sourceObstacle(fault, `${what}: ${message}`), retryAfter: outside }
