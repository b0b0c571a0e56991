import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { milliseconds, seconds } from '../../duration.ts'
import type { InstanceRef } from '../backend.ts'
import type { Engine } from './engine.ts'
import { refOf } from './ownership.ts'

/** Container id → whose it is, the state it was last seen in, and when an event said so (performance.now). */
type Known = Map<string, { readonly ref: InstanceRef; readonly state: string; readonly at?: number }>

interface EngineEvent {
  readonly Action?: string
  readonly Actor?: { readonly ID?: string; readonly Attributes?: Record<string, string> }
}

const states: Readonly<Record<string, string>> = { start: 'running', die: 'exited' }
const longestPause = seconds(5)
/** Who was told of an event so shortly before the stream broke may have found an engine that no longer answers. */
const lastMoments = seconds(30)

/**
 * Refs of containers that started, died or went. The stream is opened before the list is taken, so that nothing falls
 * between them, and the difference of two lists tells what happened while there was no stream.
 */
export async function* containerChanges(engine: Engine, signal: AbortSignal): AsyncIterable<InstanceRef> {
  let known: Known = new Map()
  let failures = 0
  let brokenAt = 0
  while (!signal.aborted) {
    try {
      const stream = await engine.events(['start', 'die', 'destroy'], signal)
      const now = await listed(engine, signal)
      const changed = differing(known, now, brokenAt)
      known = now
      failures = 0
      yield* changed
      for await (const event of parsed(stream)) {
        const { name = '', ...labels } = event.Actor?.Attributes ?? {}
        const ref = refOf(labels, name, engine.operator)
        const id = event.Actor?.ID
        if (ref === undefined || id === undefined) continue
        const state = states[event.Action ?? '']
        if (state === undefined) known.delete(id)
        else known.set(id, { ref, state, at: performance.now() })
        yield ref
      }
    } catch {
      // Whatever broke the stream is met again by the next attempt, and told by observe as `unknown`.
    }
    if (failures === 0) brokenAt = performance.now()
    const pause = Math.min(100 * 2 ** failures++, longestPause) * (0.5 + Math.random() / 2)
    await delay(milliseconds(pause), undefined, { signal }).catch(() => {})
  }
}

async function listed(engine: Engine, signal: AbortSignal): Promise<Known> {
  const known: Known = new Map()
  for (const { Id, Names, Labels, State } of await engine.containers(undefined, signal)) {
    const ref = refOf(Labels, Names[0] ?? '', engine.operator)
    if (ref !== undefined) known.set(Id, { ref, state: State })
  }
  return known
}

function differing(before: Known, now: Known, brokenAt: number): InstanceRef[] {
  const doubtful = (id: string) => (before.get(id)?.at ?? -Infinity) > brokenAt - lastMoments
  const came = [...now].filter(([id, { state }]) => before.get(id)?.state !== state || doubtful(id))
  const went = [...before].filter(([id]) => !now.has(id))
  return [...came, ...went].map(([, { ref }]) => ref)
}

async function* parsed(stream: NodeJS.ReadableStream): AsyncIterable<EngineEvent> {
  // Buffered from the first byte: events that come while the list is taken wait here.
  const input = stream instanceof Readable ? stream : Readable.from(stream)
  for await (const line of createInterface({ input })) if (line !== '') yield JSON.parse(line) as EngineEvent
}
