import { seconds, type Duration } from '../duration.ts'

/** What a source may grow to. Beyond, it is refused whole, with the limit in the message. */
export interface SourceLimits {
  /** What comes over the wire: a compressed archive, a pack. */
  readonly packedBytes: number
  /** All that it holds, unpacked. */
  readonly unpackedBytes: number
  /** Unpacked bytes for each packed one, once there are more than `ratioFrom`. Text comes to about 10. */
  readonly ratio: number
  readonly ratioFrom: number
  /** Objects of a pack: commits, trees, files. */
  readonly objects: number
  /** What a server sends to list its branches and tags. */
  readonly refsBytes: number
  /** Files and folders. */
  readonly entries: number
  readonly fileBytes: number
  /** All files that are kept. */
  readonly keptBytes: number
  /** Folders inside one another. */
  readonly depth: number
  readonly pathBytes: number
  /** A whole fetch. */
  readonly time: Duration
}

export const sourceLimits: SourceLimits = {
  packedBytes: 32 * 1024 * 1024,
  unpackedBytes: 96 * 1024 * 1024,
  ratio: 100,
  ratioFrom: 1024 * 1024,
  objects: 50_000,
  refsBytes: 8 * 1024 * 1024,
  entries: 10_000,
  fileBytes: 4 * 1024 * 1024,
  keptBytes: 16 * 1024 * 1024,
  depth: 32,
  pathBytes: 1024,
  time: seconds(60),
}
