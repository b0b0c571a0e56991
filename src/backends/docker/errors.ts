import { minutes, seconds } from '../../duration.ts'
import { Fenced, reasonOf, RetryAfter, Terminal } from '../../errors.ts'

/** What a failed call to the engine means. */
export type Failure =
  | 'absent'
  | 'conflict'
  | 'removing'
  | 'no-image'
  | 'no-network'
  /** The network has no address left. */
  | 'network-full'
  /** There are two networks of its name. */
  | 'ambiguous'
  /** Another network has addresses of that subnet. */
  | 'overlap'
  | 'refused'
  /** The engine has kept half of a start: this container can never be started. */
  | 'stuck'
  | 'disk-full'
  | 'unknown'

/** HTTP code and words of the engine's message, first match wins. A 404 in other words is a proxy's, and proves nothing. */
const table: readonly (readonly [code: number, words: RegExp, failure: Failure])[] = [
  [404, /no such image|image .*not found|manifest unknown|does not match the specified platform/i, 'no-image'],
  [500, /no space left on device|disk quota exceeded/i, 'disk-full'],
  [500, /task .*already exists|container with given id already exists/i, 'stuck'],
  [500, /no available IPv4 addresses/i, 'network-full'],
  [403, /pool overlaps/i, 'overlap'],
  [400, /network \S+ is ambiguous/i, 'ambiguous'],
  [404, /network .*not found|could not find network/i, 'no-network'],
  [404, /no such (container|volume|network)|get \S+: no such volume/i, 'absent'],
  [409, /removal of container .* is already in progress|marked for removal/i, 'removing'],
  [403, /has active endpoints/i, 'conflict'],
  [
    409,
    /already in use by container|volume is in use|network with name .* already exists|has active endpoints/i,
    'conflict',
  ],
  // The request itself is wrong, or nothing that this engine can do.
  [400, /./, 'refused'],
  [501, /./, 'refused'],
  [
    500,
    /executable file not found|exec format error|no such file or directory: unknown|permission denied: unknown|operation not (?:permitted|supported)|kernel does not support|not supported (?:by|on) this|unknown or invalid runtime|invalid argument/i,
    'refused',
  ],
]

export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error) || !('statusCode' in error)) return 'unknown'
  // The client puts words of its own before the engine's, "no such container" before any 404 among them.
  const message = engineMessage(error)
  return table.find(([code, words]) => error.statusCode === code && words.test(message))?.[2] ?? 'unknown'
}

/** The CPUs of the engine's machine, where a create was refused for wanting more. To ask it outright can take seconds. */
export function cpusOf(error: unknown): number | undefined {
  const [, cpus] = /only (\d+) CPUs available/i.exec(engineMessage(error)) ?? []
  return cpus === undefined ? undefined : Number(cpus)
}

/** Whether a create was refused because the storage driver bounds no layer. To ask the engine outright can take seconds. */
export const boundsNoLayer = (error: unknown): boolean =>
  /storage-opt is (supported only|not supported)/i.test(engineMessage(error))

/**
 * The engine's own message, without the client's decoration. A message may quote the request: it is shown only for
 * calls that carry no secret.
 */
export function engineMessage(error: unknown): string {
  return reasonOf(error)
    .replace(/^\(HTTP code \d+\) [^-]*- /, '')
    .trim()
    .slice(0, 300)
}

/** Throws what a failed create or start means for the workspace: the spec's fault, or a wait. */
export function throwLaunchFailure(error: unknown, image: string, runtime: string): never {
  if (error instanceof Terminal || error instanceof RetryAfter || error instanceof Fenced) throw error
  const failure = failureOf(error)
  if (failure === 'disk-full') throw new RetryAfter(minutes(1), 'the disk of the Docker host is full', { cause: error })
  // A removal came in between; what is made after it has the name to itself.
  if (failure === 'removing') throw new RetryAfter(seconds(1), 'the container is on its way out', { cause: error })
  if (failure === 'refused')
    throw new Terminal('StartRefused', `image "${image}" of runtime "${runtime}" cannot start: ${engineMessage(error)}`)
  throw new Error(`the Docker engine did not start the instance: ${engineMessage(error)}; its own log says more`)
}

/** What only the user can mend about a pull, first match wins. Everything else may pass: the network, the registry. */
const lasting: readonly (readonly [words: RegExp, reason: string])[] = [
  [/not found|manifest unknown|no matching manifest|repository does not exist|invalid reference/i, 'ImageMissing'],
  [/unauthorized|denied|authentication required|no basic auth/i, 'ImageUnauthorized'],
]
const passing = /toomanyrequests|timeout|lookup/i

/** `credentials`: whether the operator had any for that image. */
export function pullFailure(error: unknown, image: string, credentials: 'none' | 'given'): Terminal | RetryAfter {
  const message = engineMessage(error)
  const reason = passing.test(message) ? undefined : lasting.find(([words]) => words.test(message))?.[1]
  if (reason === undefined) return new RetryAfter(seconds(30), `image "${image}" cannot be pulled now: ${message}`)
  if (reason !== 'ImageUnauthorized') return new Terminal(reason, `image "${image}" cannot be pulled: ${message}`)
  return new Terminal(
    reason,
    credentials === 'none'
      ? `image "${image}" needs credentials, and the operator has none for it: add them to the file of REGISTRY_AUTH_FILE, or pull the image on the Docker host (${message})`
      : `image "${image}" is refused to the credentials that REGISTRY_AUTH_FILE has for it: mend them, or pull the image on the Docker host (${message})`,
  )
}
