/** A backend seen from outside: every call is timed, counted by how it ended, and a span where traces are on. */
import { reasonOf, RetryAfter, Terminal } from '../errors.ts'
import type { Dependency } from '../telemetry/dependency.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { traced } from '../telemetry/trace.ts'
import type { Backend, DiskUse, Observation } from './backend.ts'

type Verb = 'observe' | 'ensure' | 'remove' | 'resetSessions' | 'prepare' | 'identify' | 'adopt' | 'logs'
type Result = 'ok' | 'unknown' | 'waits' | 'refused' | 'error'

/** What is wrong with a backend. */
export const backendTroubles = {
  unreachable: 'it does not answer',
  silent: 'its stream of events does not tell what happens',
} as const

interface Watching {
  readonly metrics: Pick<Metrics, 'backendSeconds'>
  readonly dependency: Dependency<keyof typeof backendTroubles>
  readonly log: Logger
}

/**
 * Lists and streams are not timed: their time is that of whoever reads them. Whether the backend answers is known by its
 * looks and lists; what else fails may be the fault of one image or one spec.
 */
export function measured(backend: Backend, { metrics, dependency, log }: Watching): Backend {
  const { name } = backend
  const { backendSeconds } = metrics
  function unreachable(cause: unknown): Error {
    const error = new Error(kindOf(cause))
    dependency.count('unreachable')
    dependency.fails('unreachable', error)
    return error
  }
  /** What was not told is found all the same, if later: the backend serves. */
  function untold(again: boolean): void {
    dependency.count('silent')
    if (!again) log.warn({ dependency: name }, 'stream of events tells nothing and is opened anew')
  }
  /** What asks for a list logs what it fails by: of that, too, only the kind is told. */
  async function* listed<T>(list: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
    try {
      yield* list
      dependency.works()
    } catch (error) {
      throw signal.aborted ? error : unreachable(error)
    }
  }
  async function disk(signal: AbortSignal): Promise<readonly DiskUse[]> {
    try {
      return await backend.disk(signal)
    } catch (error) {
      throw signal.aborted ? error : new Error(kindOf(error))
    }
  }
  async function timed<T>(
    verb: Verb,
    uid: string,
    call: () => Promise<T>,
    judge: (answer: T) => Result = ok,
  ): Promise<T> {
    const began = performance.now()
    let result: Result = 'error'
    try {
      const attributes = () => ({ 'molecule.backend': name, 'molecule.verb': verb, 'molecule.uid': uid })
      const answer = await traced(
        'backend call',
        { attributes, ended: (a: T) => ({ 'molecule.result': judge(a) }) },
        call,
      )
      result = judge(answer)
      return answer
    } catch (error) {
      if (error instanceof RetryAfter) result = 'waits'
      if (error instanceof Terminal) result = 'refused'
      throw error
    } finally {
      backendSeconds.observe({ backend: name, verb, result }, (performance.now() - began) / 1000)
    }
  }

  return {
    name,
    async observe(ref, signal) {
      const judge = ({ state }: Observation) => (state === 'unknown' ? 'unknown' : 'ok')
      const found = await timed('observe', ref.uid, () => backend.observe(ref, signal), judge)
      if (found.state !== 'unknown') dependency.works()
      else if (!signal.aborted) unreachable(found.cause)
      return found
    },
    ensure: (spec, signal, guard) => timed('ensure', spec.ref.uid, () => backend.ensure(spec, signal, guard)),
    remove: (ref, volumes, signal, guard) =>
      timed(
        'remove',
        ref.uid,
        () => backend.remove(ref, volumes, signal, guard),
        (done) => (done === 'gone' ? 'ok' : 'waits'),
      ),
    resetSessions: (spec, signal, guard) =>
      timed('resetSessions', spec.ref.uid, () => backend.resetSessions(spec, signal, guard)),
    prepare: (spec, signal) => timed('prepare', '', () => backend.prepare(spec, signal)),
    identify: (id, signal) => timed('identify', '', () => backend.identify(id, signal)),
    adopt: (ref, id, signal, guard) => timed('adopt', ref.uid, () => backend.adopt(ref, id, signal, guard)),
    logs: (ref, bytes, signal) => timed('logs', ref.uid, () => backend.logs(ref, bytes, signal)),
    disk,
    owned: (signal) => listed(backend.owned(signal), signal),
    ownedVolumes: (signal) => listed(backend.ownedVolumes(signal), signal),
    changes: (signal) => backend.changes(signal, untold),
  }
}

const ok = (): Result => 'ok'

/** Codes of sockets and files, what Node says of a call whose deadline is over, and the code of an answer. */
const knownWords = [
  /\b(?:ECONN(?:REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|ENOENT|EACCES)\b/,
  /aborted due to timeout|timed out/,
  /HTTP code \d{3}/,
]

/**
 * What an engine says may quote anything that a Workspace gave it, and here its secrets are not known: of its words, those
 * alone that are known (a look gives no more than words), else the code.
 */
function kindOf(cause: unknown): string {
  const said = reasonOf(cause)
  for (const known of knownWords) {
    const [word] = known.exec(said) ?? []
    if (word !== undefined) return word
  }
  for (let error = cause; error instanceof Error; error = error.cause) {
    const { code } = error as NodeJS.ErrnoException
    if (typeof code === 'string' && /^[A-Z][A-Z0-9_]*$/.test(code)) return code
  }
  return 'its looks or lists fail'
}
