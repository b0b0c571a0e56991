import { setImmediate } from 'node:timers/promises'
import { minutes, milliseconds, seconds, type Duration } from '../duration.ts'
import { errorOfStatus, KubeError } from './kube-error.ts'
import { LineSplitter } from './lines.ts'
import type { ListAnew } from './list-anew.ts'
import { newerVersion, wentBack, type RawList, type RawObject } from './raw.ts'
import { exponential, sleep } from './timing.ts'
import type { Transport } from './transport.ts'

/** What a watch tells, level by level: a whole state after every gap, then the changes since. */
export type WatchEvent<T> =
  | {
      readonly type: 'synced'
      readonly objects: readonly T[]
      readonly resourceVersion: string
      readonly anew: boolean
    }
  /**
   * The store of the server was put back from a backup, or exchanged: what is known says nothing any more. Next comes
   * `synced` with `anew`, whose objects count whatever their versions. `sign`: the versions that tell; without it a list anew
   * was asked for.
   */
  | { readonly type: 'wentBack'; readonly sign?: { readonly seen: string; readonly found: string } }
  /** `object` is undefined when it could not be read: it counts as absent. */
  | { readonly type: 'changed'; readonly raw: RawObject; readonly object: T | undefined }
  | { readonly type: 'deleted'; readonly raw: RawObject }
  /** The stream is open (again): what is known is up to date. */
  | { readonly type: 'live' }
  | { readonly type: 'trouble'; readonly error: KubeError }

export interface WatchOptions<T> {
  readonly transport: Transport
  /** Path of the collection. */
  readonly path: string
  /**
   * Called once for each object as it arrives, so that a page's raw JSON is dropped before the next is read. `anew`: what is
   * known of the object says nothing.
   */
  readonly convert: (raw: RawObject, anew: boolean) => T | undefined
  /** What is known of the collection beside the events: by it, a server that went back is found out. */
  readonly known?: {
    /** The newest version of any object, writes included. */
    readonly newest: string | undefined
    /** Whether an object in a list as of `version` cannot be so. */
    contradicts(raw: RawObject, version: string): boolean
  }
  /** The longest silence: bookmarks come once a minute, so a little more. */
  readonly idle?: Duration
  readonly pageSize?: number
  /** Asks for metadata alone: what an object holds never comes over the wire. */
  readonly metadataOnly?: boolean
  /** A collection of more objects is not listed: `trouble`, reason TooManyObjects, once a minute. */
  readonly mostObjects?: number
  /** Where a list anew is asked for from outside. */
  readonly listAnew?: ListAnew
  /** Told at each new stream, with why the last one ended. */
  readonly onRestart?: (cause: RestartCause) => void
}

/** `asked`: by whatever else found that the server may have gone back. */
export type RestartCause = 'closed' | 'expired' | 'throttled' | 'denied' | 'failed' | 'wentBack' | 'asked'

const shortest = milliseconds(500)
const longest = seconds(5)
/** For what only a person can mend: no such kind, no such right. */
const patient = seconds(10)
/** A stream that lived this long was no failure, whatever ended it. */
const healthy = seconds(5)

/** Thrown while listing: the server is not the one, or not in the state, that was seen before. */
class WentBack extends Error {
  readonly event: Extract<WatchEvent<never>, { type: 'wentBack' }>
  constructor(seen: string, found: string) {
    super('the API server went back')
    this.event = { type: 'wentBack', sign: { seen, found } }
  }
}

/**
 * Follows a collection for ever: list, watch from there, resume from the last version seen; a new list only when that
 * version is too old (410), when the server went back, or when one is asked for. Never throws; ends only when the signal
 * aborts.
 *
 * A server whose etcd was restored takes a watch from a version that it has not reached, and says nothing until it has:
 * changes up to there are lost without an error. So each resumption first asks where the server is, by a list of one
 * object, which is read at the newest version there is. A store that was restored and has grown beyond what was seen until
 * then is not found out by that, but by the lease (lease.ts), and the list is asked for. The lists that follow a 410 are held
 * against each object.
 */
export async function* watch<T>(options: WatchOptions<T>, signal: AbortSignal): AsyncGenerator<WatchEvent<T>> {
  let version: string | undefined
  let failures = 0
  let anew = false
  while (!signal.aborted) {
    if (options.listAnew?.take() === true) {
      version = undefined
      anew = true
      options.onRestart?.('asked')
      yield { type: 'wentBack' }
    }
    const cut = options.listAnew === undefined ? signal : AbortSignal.any([signal, options.listAnew.signal])
    const began = performance.now()
    const seen = { events: 0 }
    let error: KubeError | undefined
    try {
      if (version === undefined) {
        const listed: { objects: T[]; resourceVersion: string } = await list(options, cut, anew)
        version = listed.resourceVersion
        yield { type: 'synced', ...listed, anew }
        anew = false
      } else await confirm(options, version, cut)
      for await (const event of follow(options, version, cut)) {
        if (event.type === 'ended') break
        seen.events++
        if (event.version !== undefined) version = event.version
        if (event.tell) yield event.tell
      }
    } catch (caught) {
      if (signal.aborted) return
      if (cut.aborted) continue
      if (caught instanceof WentBack) {
        version = undefined
        anew = true
        options.onRestart?.('wentBack')
        yield caught.event
        continue
      }
      error = asKubeError(caught)
      if (error.isGone) version = undefined
      yield { type: 'trouble', error }
    }
    if (cut.aborted) continue
    const lived = performance.now() - began
    failures = seen.events > 1 || lived > healthy ? 0 : failures + 1
    options.onRestart?.(causeOf(error))
    await sleep(pause(error, failures, lived), cut)
  }
}

/** A stream that ends after a while is followed by the next at once; what fails again and again waits ever longer. */
function pause(error: KubeError | undefined, failures: number, lived: number): Duration {
  if (error?.retryAfter !== undefined) return milliseconds(Math.max(error.retryAfter, shortest - lived))
  if (error?.isForbidden === true || error?.isNotFound === true || error?.isUnauthorized === true)
    return milliseconds(patient * (0.75 + Math.random() / 2))
  if (failures <= 1) return milliseconds(Math.max(0, shortest - lived))
  return milliseconds(exponential(failures - 1, shortest, longest) * (1 + Math.random() / 4))
}

/** Throws `WentBack` when the server is behind what was seen of it. */
async function confirm<T>({ transport, path, known }: WatchOptions<T>, version: string, signal: AbortSignal) {
  const seen = newerVersion(known?.newest, version)
  const accept = partial('PartialObjectMetadataList')
  const call = { method: 'GET', path: `${path}?limit=1`, verb: 'list', signal, accept } as const
  const found = ((await transport.send(call)) as Partial<RawList>).metadata?.resourceVersion
  if (typeof found !== 'string') throw new KubeError(0, 'BadAnswer', `list ${path}: the answer is not a list`)
  if (wentBack(seen, found)) throw new WentBack(seen, found)
}

/** Throws `WentBack` for a list that cannot follow what is known, unless it is read `anew`. */
async function list<T>(
  options: WatchOptions<T>,
  signal: AbortSignal,
  anew: boolean,
): Promise<{ objects: T[]; resourceVersion: string }> {
  const { transport, metadataOnly, mostObjects = Number.POSITIVE_INFINITY } = options
  const known = anew ? undefined : options.known
  const newest = known?.newest
  const accept = metadataOnly === true ? { accept: partial('PartialObjectMetadataList') } : {}
  const objects: T[] = []
  let limit = options.pageSize ?? 500
  let token = ''
  for (;;) {
    const page = `limit=${limit}${token === '' ? '' : `&continue=${encodeURIComponent(token)}`}`
    const path = `${options.path}?${page}`
    let answer: Partial<RawList>
    try {
      answer = (await transport.send({ method: 'GET', path, verb: 'list', signal, ...accept })) as Partial<RawList>
    } catch (error) {
      if (!(error instanceof KubeError) || !error.isTooLarge || limit === 1) throw error
      // Objects of a megabyte each: the same page in smaller pieces, one by one at last.
      limit = Math.max(1, Math.floor(limit / 8))
      continue
    }
    // A list of metadata without objects has `null` for its items.
    const items = answer.items ?? []
    if (!Array.isArray(items) || typeof answer.metadata?.resourceVersion !== 'string')
      throw new KubeError(0, 'BadAnswer', `list ${options.path}: the answer is not a list`)
    const { resourceVersion } = answer.metadata
    if (newest !== undefined && wentBack(newest, resourceVersion)) throw new WentBack(newest, resourceVersion)
    const count = objects.length + items.length + (answer.metadata.remainingItemCount ?? 0)
    if (count > mostObjects)
      throw new KubeError(0, 'TooManyObjects', `list ${options.path}: ${count} objects, of ${mostObjects} at most`, {
        retryAfter: minutes(1),
      })
    for (const raw of items) {
      if (known?.contradicts(raw, resourceVersion) === true)
        throw new WentBack(known.newest ?? resourceVersion, resourceVersion)
      const object = options.convert(raw, anew)
      if (object !== undefined) objects.push(object)
    }
    token = answer.metadata.continue ?? ''
    if (token === '') return { objects, resourceVersion }
    // Leases must be renewed and probes answered while 10,000 objects are read.
    await setImmediate()
  }
}

/** Servers that cannot leave the rest out answer with whole objects. */
const partial = (kind: 'PartialObjectMetadata' | 'PartialObjectMetadataList') =>
  `application/json;as=${kind};g=meta.k8s.io;v=v1,application/json`

type Step<T> =
  { readonly type: 'event'; readonly version?: string; readonly tell?: WatchEvent<T> } | { readonly type: 'ended' }

interface Line {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: RawObject
}

async function* follow<T>(options: WatchOptions<T>, from: string, signal: AbortSignal): AsyncGenerator<Step<T>> {
  // Spread over five minutes, so that many watches opened together do not end together for ever.
  const timeout = Math.round((minutes(5) + Math.random() * minutes(5)) / 1000)
  const query = `watch=true&allowWatchBookmarks=true&timeoutSeconds=${timeout}&resourceVersion=${from}`
  const accept = options.metadataOnly === true ? partial('PartialObjectMetadata') : undefined
  const idle = options.idle ?? seconds(68)
  const stream = await options.transport.stream(`${options.path}?${query}`, idle, signal, accept)
  yield { type: 'event', tell: { type: 'live' } }
  const lines = new LineSplitter()
  for await (const chunk of stream) {
    for (const text of lines.push(chunk)) {
      const step = read(options, text)
      yield step
    }
  }
  yield { type: 'ended' }
}

function read<T>(options: WatchOptions<T>, text: string): Step<T> {
  const { type, object: raw } = parseLine(options.path, text)
  // In the place of the object stands a metav1.Status, which has no version.
  if (type === 'ERROR') throw errorOfStatus(`watch ${options.path}`, raw as object)
  const version = raw.metadata.resourceVersion
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
      return { type: 'event', version, tell: { type: 'changed', raw, object: options.convert(raw, false) } }
    case 'DELETED':
      return { type: 'event', version, tell: { type: 'deleted', raw } }
    case 'BOOKMARK':
      return { type: 'event', version }
  }
}

function parseLine(path: string, text: string): Line {
  try {
    const line = JSON.parse(text) as Partial<Line>
    if (line.type !== undefined && typeof line.object === 'object') return { type: line.type, object: line.object }
  } catch {
    // Said below: a cut line and a foreign page are the same to us.
  }
  throw new KubeError(0, 'BadAnswer', `watch ${path}: a line is not a watch event`)
}

function asKubeError(caught: unknown): KubeError {
  if (caught instanceof KubeError) return caught
  return new KubeError(0, 'Unknown', 'watch failed', { cause: caught })
}

function causeOf(error: KubeError | undefined): RestartCause {
  if (!error) return 'closed'
  if (error.isGone) return 'expired'
  if (error.isThrottled) return 'throttled'
  return error.isForbidden || error.isNotFound ? 'denied' : 'failed'
}
