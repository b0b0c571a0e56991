/**
 * What happens to containers, as hints. The engine's stream of events tells it within milliseconds. A stream that is quiet
 * and one that tells nothing any more, by a middleman that swallows or an engine that hangs, look the same: after 30 s of
 * silence the list of containers is asked, which two calls on other connections answer, and again every 30 s while the
 * silence lasts. What the list has and the stream does not tell within a second proves it deaf, and it is opened anew.
 * An end that a deaf stream swallowed is so known within 30 s; while events come, of any container, there is no list.
 * An engine that does not answer tells nothing of its containers either: each that is known is told as one to look at.
 */
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { milliseconds, seconds, type Duration } from '../../duration.ts'
import type { InstanceRef, OnUntold } from '../backend.ts'
import type { Engine } from './engine.ts'
import { label, refOf } from './ownership.ts'

export interface KnownContainer {
  readonly ref: InstanceRef
  /** The one that it was last seen in. */
  readonly state: string
  /** By an operator, and not adopted. */
  readonly made: boolean
  /** When an event said so (performance.now). */
  readonly at?: number
}

/** By container id. */
type Known = Map<string, KnownContainer>

interface EngineEvent {
  readonly Action?: string
  readonly Actor?: { readonly ID?: string; readonly Attributes?: Record<string, string> }
}

export interface Doubts {
  /** After how much silence the list is asked: 30 s unless given. */
  readonly silence: Duration | undefined
  readonly onUntold: OnUntold | undefined
}

const states: Readonly<Record<string, string>> = { start: 'running', die: 'exited' }
const longestPause = seconds(5)
/** What reads an event so shortly before the stream broke may have found an engine that no longer answers. */
const lastMoments = seconds(30)
/** An engine that is only started anew answers again by then. */
const shortAbsence = seconds(5)
/** An event may be on its way while the list is made. */
const onTheWay = seconds(1)

/**
 * Refs of containers that started, died or went. The stream is opened before the list is taken, so that nothing falls
 * between them, and the difference of two lists tells what happened while there was no stream, or a deaf one. While the
 * engine does not answer for longer than `shortAbsence`, all that are known are told once: a look finds out that they are
 * out of reach.
 */
export async function* containerChanges(
  engine: Engine,
  signal: AbortSignal,
  { silence = seconds(30), onUntold = () => {} }: Doubts,
): AsyncIterable<InstanceRef> {
  let known: Known = new Map()
  let failures = 0
  let brokenAt = 0
  let absent = false
  let deaf = false
  while (!signal.aborted) {
    let stream: Readable | undefined
    try {
      stream = await engine.events(['start', 'die', 'destroy'], signal)
      const now = await listed(engine, signal)
      const changed = differing(known, now, brokenAt)
      known = now
      failures = 0
      absent = false
      yield* changed
      let suspected = false
      for await (const event of withSilences(parsed(stream), () => (suspected ? onTheWay : silence))) {
        if (event === undefined && suspected) {
          onUntold(deaf)
          deaf = true
          break
        }
        if (event === undefined) {
          const before = known
          known = await listed(engine, signal)
          yield* differing(before, known)
          suspected = wouldBeTold(before, known)
          continue
        }
        suspected = deaf = false
        const { name = '', ...labels } = event.Actor?.Attributes ?? {}
        const ref = refOf(labels, name, engine.operator)
        const id = event.Actor?.ID
        if (ref === undefined || id === undefined) continue
        const state = states[event.Action ?? '']
        if (state === undefined) known.delete(id)
        else known.set(id, { ref, state, made: isMade(labels), at: performance.now() })
        yield ref
      }
    } catch {
      // Whatever broke the stream is met again by the next attempt, and told by observe as `unknown`.
    } finally {
      stream?.destroy()
    }
    if (failures === 0) brokenAt = performance.now()
    if (!absent && !signal.aborted && performance.now() - brokenAt > shortAbsence) {
      absent = true
      for (const { ref } of known.values()) yield ref
    }
    const pause = Math.min(100 * 2 ** failures++, longestPause) * (0.5 + Math.random() / 2)
    await delay(milliseconds(pause), undefined, { signal }).catch(() => {})
  }
}

const isMade = (labels: Readonly<Record<string, string>>): boolean => labels[label.operator] !== undefined

async function listed(engine: Engine, signal: AbortSignal): Promise<Known> {
  const known: Known = new Map()
  for (const { Id, Names, Labels, State } of await engine.containers(undefined, signal)) {
    const ref = refOf(Labels, Names[0] ?? '', engine.operator)
    if (ref !== undefined) known.set(Id, { ref, state: State, made: isMade(Labels) })
  }
  return known
}

function differing(before: Known, now: Known, brokenAt = Infinity): InstanceRef[] {
  const doubtful = (id: string) => (before.get(id)?.at ?? -Infinity) > brokenAt - lastMoments
  const came = [...now].filter(([id, { state }]) => before.get(id)?.state !== state || doubtful(id))
  const went = [...before].filter(([id]) => !now.has(id))
  return [...came, ...went].map(([, { ref }]) => ref)
}

/**
 * Whether what differs is a start, an end or a removal, which the stream tells. A container that was made and not started,
 * paused, or adopted, which is a new name, comes to the list without such an event.
 */
export function wouldBeTold(before: Known, now: Known): boolean {
  const turned = [...before].some(([id, { state }]) => runs(state) !== runs(now.get(id)?.state) || !now.has(id))
  const came = [...now].some(([id, { state, made }]) => !before.has(id) && made && (runs(state) || state === 'exited'))
  return turned || came
}

const runs = (state: string | undefined): boolean => state === 'running' || state === 'paused'

/** The events of a stream of JSON lines. It buffers from the first byte: what comes while the list is taken waits there. */
async function* parsed(stream: Readable): AsyncGenerator<EngineEvent, void> {
  let rest = ''
  for await (const chunk of stream.setEncoding('utf8') as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line) as EngineEvent
  }
}

/** What comes, and `undefined` each time that nothing has come for as long as `patience` says. The source is ended by its owner. */
async function* withSilences<T>(
  source: AsyncIterator<T, void>,
  patience: () => Duration,
): AsyncGenerator<T | undefined, void> {
  for (;;) {
    const next = source.next()
    const wait = { over: false, wake: () => {} }
    const end = () => {
      wait.over = true
      wait.wake()
    }
    next.then(end, end)
    while (!wait.over) {
      const turn = new AbortController()
      wait.wake = () => turn.abort()
      await delay(patience(), undefined, { signal: turn.signal }).catch(() => {})
      if (!wait.over) yield undefined
    }
    const turn = await next
    if (turn.done === true) return
    yield turn.value
  }
}
