/** Where instances live. The port that docker, process, external, fake (and later ec2) implement. */

declare const instanceBrand: unique symbol
/** The backend's own name for an instance: a container id, a pid with its start time. */
export type InstanceId = string & { readonly [instanceBrand]: true }

/** Whose instance it is. The backend derives its names from `uid` alone: `ws-<uid>`. */
export interface InstanceRef {
  readonly uid: string
  readonly namespace: string
  readonly name: string
}

/** Hard limits of one instance; a tier is nothing but a row of these. */
export interface Limits {
  readonly memoryBytes: number
  /** CPUs, as a fraction: 0.5 is half a core. */
  readonly cpus: number
  readonly pids: number
  /** Bytes of files, in its own layer and its volumes; any number unless given. Looked at, and held where an engine can. */
  readonly diskBytes?: number
  readonly readOnlyRoot: boolean
  /** Ways onto the host that the operator's configuration opens for this tier: none unless it says so. */
  readonly hostAccess: readonly HostAccess[]
}

/** What a tier stands for, and the namespaces whose Workspaces get its `hostAccess`: all others have its limits alone. */
export interface TierLimits extends Limits {
  readonly namespaces: readonly string[]
}

export const hostAccesses = ['Privileged', 'HostPID', 'HostNetwork', 'EngineSocket'] as const
export type HostAccess = (typeof hostAccesses)[number]

/** A folder of the host at `/workspace`, in place of the volume. Its root was checked against the configuration. */
export interface HostFolder {
  readonly path: string
  readonly access: 'read_only' | 'read_write'
}

/** The longest path of a file, in bytes: what every archive and file system can hold. */
export const longestFilePath = 200

/** A file under the instance's configuration folder (`/configs`), in place before the process starts. */
export interface InstanceFile {
  /** Relative, forward slashes, no `..`, at most `longestFilePath`. */
  readonly path: string
  readonly content: string | Uint8Array
  /** Permission bits, 0o644 unless given. */
  readonly mode?: number
}

export interface InstanceSpec {
  readonly ref: InstanceRef
  /** Digest of everything below that a replacement should follow. Kept on the instance and given back by observe. */
  readonly specHash: string
  /** Image reference, by digest when one is known. The process backend ignores it. */
  readonly image: string
  readonly runtime: string
  /** Secret values may be here: never log, never put on a command line or a label. */
  readonly env: Readonly<Record<string, string>>
  readonly files: readonly InstanceFile[]
  /** The agent's bearer token, written to `.auth_token` (0600) in the configuration folder before the start. */
  readonly token: string
  /**
   * What the operator's calls to the instance carry, written to `.platform_inbound_secret` (0600) beside the token.
   * Undefined where the backend starts nothing.
   */
  readonly inboundSecret?: string | undefined
  readonly limits: Limits
  readonly hostFolder?: HostFolder
  /**
   * Where in the instance the sessions of its agent are kept, apart from all else that outlives it; undefined where they
   * are not. The agent finds the place in `SESSIONS_DIR`, also where a backend cannot put it at that path.
   */
  readonly sessionsPath?: string
  /**
   * Names the reset of sessions that was asked for last: letters and digits, at most 32. Undefined where none was.
   */
  readonly sessionReset?: string
  /** `os/arch` of the image, where the runtime asks for one. */
  readonly platform?: string
  /**
   * Where the workspace was adopted: what was kept for its instance before goes on with this one. `row` is its id in the
   * system before, where there was one, by which that system named what it kept.
   */
  readonly adopted?: { readonly row?: string }
}

/** What `observe` says of the hash of an instance that was adopted: the row knows what it stands for. */
export const adoptedHash = 'adopted'

/** Whom or what a running instance can reach, or is reached by, that one launched now would be kept from. */
export type Exposure =
  /** It was made on a network that others share, or was put on one since. */
  | 'SharedNetwork'
  /** It runs as another system made it. */
  | 'AdoptedInstance'
  /** Its tier opens the network of the host. */
  | 'HostNetwork'

/** What a look found. `unknown` is never `absent`: nothing destructive may follow from it. */
export type Observation =
  | { readonly state: 'absent' }
  | { readonly state: 'unknown'; readonly cause: string }
  /** Exists and was not started: a crash came between the two. ensure() finishes it. */
  | { readonly state: 'created'; readonly id: InstanceId; readonly specHash: string }
  /** On its way to running by itself. */
  | { readonly state: 'starting'; readonly id: InstanceId; readonly since: Date; readonly specHash: string }
  | {
      readonly state: 'running'
      readonly id: InstanceId
      /** Base URL at which the operator reaches the agent, `http://127.0.0.1:49153`; empty when it cannot. */
      readonly address: string
      readonly specHash: string
      readonly startedAt: Date
      /** Digest of the image that runs, `sha256:…`; empty where the backend has none. */
      readonly imageDigest: string
      /** What keeps it from being as far apart from others as one launched now would be; absent: nothing. */
      readonly exposure?: Exposure
    }
  | { readonly state: 'stopping'; readonly id: InstanceId }
  | {
      readonly state: 'exited'
      readonly id: InstanceId
      readonly specHash: string
      readonly exitCode: number | undefined
      /** One line for people: `exit code 137, out of memory`. */
      readonly detail: string
      readonly finishedAt: Date
    }

export type SessionReset = 'emptied' | 'kept'

/** So many names of resets are kept: a backup of the API server may ask for any of them again. */
const keptResets = 16

/** The names of resets that were done, with one more. */
export const withReset = (done: readonly string[], reset: string): readonly string[] =>
  [...done, reset].slice(-keptResets)

export interface DiskUse {
  readonly ref: InstanceRef
  readonly bytes: number
}

export interface OwnedInstance {
  readonly ref: InstanceRef
  readonly id: InstanceId
  readonly createdAt: Date
}

/**
 * Throws once this process may no longer act. A backend calls it right before every request that changes something, and not
 * only at the beginning of a call: a process may be frozen between two requests, and a successor act meanwhile.
 */
export type Guard = () => void

/**
 * Called each time that the event stream of a backend is found to be open and not to tell what happened. `again`: nothing
 * has come by it since the time before.
 */
export type OnUntold = (again: boolean) => void

/** For a caller that built the backend itself, as a test does. Through the port a guard is always given. */
export const unguarded: Guard = () => {}

/**
 * Every call is idempotent, none blocks on the instance, and all classify their errors at their own edge: `Terminal`
 * when only the user can help (image missing), `RetryAfter` for a throttle, `unknown` from observe when the backend
 * cannot be reached. Two calls for one uid never overlap; calls for different uids do.
 */
export interface Backend {
  readonly name: string
  /** Must not change the outside world. A backend that does not answer is `unknown`, never a throw. */
  observe(ref: InstanceRef, signal: AbortSignal): Promise<Observation>
  /**
   * Makes the instance exist and start, once. An instance of this uid that exists already is adopted as it is, even
   * with another specHash (replacing is remove, then ensure); one created but never started gets files and token anew.
   */
  ensure(spec: InstanceSpec, signal: AbortSignal, guard: Guard): Promise<Observation>
  /**
   * Stops and removes the instance; with `volumes: 'delete'` also everything that outlives a restart. `requested`:
   * look again; `gone`: a look proved that nothing (of what was asked) is left. Nothing there is `gone`.
   */
  remove(ref: InstanceRef, volumes: 'keep' | 'delete', signal: AbortSignal, guard: Guard): Promise<'requested' | 'gone'>
  /**
   * Takes away what sessions were kept, so that the next instance finds none; all else stays. Only after `remove` said
   * `gone`. Throws `RetryAfter` where something else uses them. The names of the last resets (`sessionReset`) are written down
   * beside the sessions: `kept` says that this one was done before, or that there are no sessions of this operator's.
   */
  resetSessions(
    spec: Pick<InstanceSpec, 'ref' | 'sessionsPath' | 'sessionReset' | 'adopted'>,
    signal: AbortSignal,
    guard: Guard,
  ): Promise<SessionReset>
  /**
   * Makes sure that the image of a later `ensure` is there, so that nothing is taken away for a replacement that could
   * not start. Throws `RetryAfter` while it is on its way (one pull an image, however many ask), `Terminal` when it
   * cannot be had. Nothing to do where a backend has no images.
   */
  prepare(spec: Pick<InstanceSpec, 'image' | 'platform'>, signal: AbortSignal): Promise<void>
  /**
   * An instance by its own id or the beginning of it, whoever made it: what `adopt` would be asked for. Undefined when there
   * is none, or the backend takes over none.
   */
  identify(id: string, signal: AbortSignal): Promise<{ readonly id: string; readonly name: string } | undefined>
  /**
   * Takes over an instance that runs already and that this operator did not make: from now on it is the one of `ref`,
   * and so is what outlives it. Whether the ref may have it is the caller's to know. It is not restarted; `observe` gives it with the hash `adopted`. Throws `Terminal` with the reason AdoptionRefused
   * when it does not exist, or belongs to another operator or another ref.
   */
  adopt(ref: InstanceRef, id: string, signal: AbortSignal, guard: Guard): Promise<Observation>
  /** The last output of the instance, at most `bytes` from the end, for people; empty when there is none. */
  logs(ref: InstanceRef, bytes: number, signal: AbortSignal): Promise<string>
  /** All instances that carry this operator's mark, for the orphan collector and the list-and-diff after a gap. */
  owned(signal: AbortSignal): AsyncIterable<OwnedInstance>
  /** Bytes of disk that instances and what outlives them take, summed by uid; may take minutes. Nothing where a backend cannot tell. */
  disk(signal: AbortSignal): Promise<readonly DiskUse[]>
  /** Whoever has something here that outlives an instance, by this operator's mark; with an instance or without. */
  ownedVolumes(signal: AbortSignal): AsyncIterable<InstanceRef>
  /**
   * Refs of instances that may have changed: started, died, removed. Ends only on abort; after a gap in the backend's
   * own event stream it yields every ref whose state may differ. A hint: it only ever enqueues a key.
   */
  changes(signal: AbortSignal, onUntold?: OnUntold): AsyncIterable<InstanceRef>
}
