/**
 * The port to folders of files that live elsewhere: archives, Git repositories, artifacts that Flux keeps. Looking never
 * waits: what was fetched is in memory, and whoever asked is woken when it comes, changes or fails.
 */
import type { Duration } from '../duration.ts'

/** What is in a folder. The reader owns the files and may empty the map while taking them over. */
export interface Files {
  /** Paths below the folder that was asked for, without a leading slash. Safe ones only (intake.ts). */
  readonly files: Map<string, Uint8Array>
  /** Files and folders that are left out, to why: `it is a symbolic link`. */
  readonly skipped: ReadonlyMap<string, string>
}

/** A folder at one revision. */
export interface Fetched extends Files {
  /** `main@sha1:<commit>`, `sha1:<commit>`, or what Flux calls it. */
  readonly revision: string
}

/** Why a source could not be read; also the reasons of the condition SourceReady. */
export const sourceFaults = [
  'SourceMissing', // no such repository, branch, commit or folder
  'AuthFailed',
  'NotAllowed', // a host, scheme or address outside what the operator's configuration allows
  'SourceTooLarge',
  'SourceInvalid', // a hostile or broken archive or repository, or a wrong digest
  'VerificationFailed',
  'SourceUnreachable', // no answer, or none in time
] as const
export type SourceFault = (typeof sourceFaults)[number]

/** The message is one line that names the entry or host and the rule; it never carries a credential. */
export class SourceError extends Error {
  override readonly name = 'SourceError'
  readonly fault: SourceFault
  constructor(fault: SourceFault, message: string, options?: ErrorOptions) {
    super(message, options)
    this.fault = fault
  }
}

export type Credentials =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'bearer'; readonly token: string }

export type GitRef =
  { readonly kind: 'default' } | { readonly kind: 'branch' | 'tag' | 'semver' | 'commit'; readonly name: string }

export interface GitRequest {
  readonly kind: 'git'
  readonly url: string
  readonly ref: GitRef
  /** The folder in the repository; "" is the top. */
  readonly path: string
  readonly credentials?: Credentials | undefined
  /** Public keys in OpenSSH's format, one a line: the commit must be signed by one of them. */
  readonly signers?: string | undefined
  readonly interval: Duration
}

export interface ArtifactRequest {
  readonly kind: 'artifact'
  readonly url: string
  /** `sha256:<hex>` of the file behind the URL. */
  readonly digest: string
  readonly revision: string
  readonly path: string
}

export interface ArchiveRequest {
  readonly kind: 'archive'
  /** Changes whenever the bytes do. */
  readonly identity: string
  readonly revision: string
  /** The folder in the archive; "" is the top. */
  readonly path: string
  /** Called once, when it is read. */
  readonly bytes: () => Uint8Array
}

export type SourceRequest = GitRequest | ArtifactRequest | ArchiveRequest

/** The text files of a folder, and what is left out of it. */
export interface TextFolder {
  readonly revision: string
  /** Equal for equal files: a commit or a digest with a path, or what an archive was given. */
  readonly identity: string
  readonly texts: ReadonlyMap<string, string>
  /** Paths to why, sorted. */
  readonly skipped: ReadonlyMap<string, string>
}

export type Sight =
  | { readonly state: 'fetching' }
  /** `trouble`: what is shown was fetched once, and looking for something newer fails. */
  | { readonly state: 'fetched'; readonly folder: TextFolder; readonly trouble: SourceError | undefined }
  | { readonly state: 'failed'; readonly error: SourceError }

export interface Sources {
  /**
   * What there is now. Begins a fetch when there is nothing yet, or when it is time to look for something newer. One
   * follower may look at several sources, each in a slot of its own; another request in a slot takes its place.
   */
  look(request: SourceRequest, follower: string, slot?: string): Sight
  /** The follower looks at no other slots any more. */
  retain(follower: string, slots: ReadonlySet<string>): void
}
