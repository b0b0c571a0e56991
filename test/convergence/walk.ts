/** What may happen to a handful of workspaces, as data, and what must hold of them once it has all ended. Pure. */
import * as fc from 'fast-check'

/** Workspaces that a walk is about: `s0` may be parent of `s1`, and so on, so that no walk makes a cycle. */
export const slots = [0, 1, 2, 3] as const
export const nameOf = (slot: number): string => `s${slot}`

export type Event =
  | { readonly kind: 'create'; readonly slot: number }
  | { readonly kind: 'delete' | 'restart' | 'rename' | 'kill' | 'vanish'; readonly slot: number }
  | { readonly kind: 'power' | 'sleepy'; readonly slot: number; readonly on: boolean }
  | { readonly kind: 'env'; readonly slot: number; readonly value: number }
  /** Under an earlier slot; under none for -1. */
  | { readonly kind: 'parent'; readonly slot: number; readonly above: number }
  | { readonly kind: 'image'; readonly value: number }
  | { readonly kind: 'unknown' | 'slow' | 'operator'; readonly on: boolean }
  /** The next launch is refused: more of them would be waited for by minutes. */
  | { readonly kind: 'refuse' }
  /** Hours by which the operator's clock is wrong from now on. */
  | { readonly kind: 'clock'; readonly hours: number }

export interface Step {
  readonly event: Event
  /** Milliseconds until the next. */
  readonly pause: number
}

const slot = fc.constantFrom(...slots)
const on = fc.boolean()
const edits: readonly [number, fc.Arbitrary<Event>][] = [
  [4, fc.record({ kind: fc.constantFrom('create', 'create', 'delete', 'restart', 'rename'), slot })],
  [3, fc.record({ kind: fc.constant('power'), slot, on })],
  [1, fc.record({ kind: fc.constant('sleepy'), slot, on })],
  [3, fc.record({ kind: fc.constant('env'), slot, value: fc.nat(2) })],
  [
    2,
    slot.chain((at) =>
      fc.record({ kind: fc.constant('parent'), slot: fc.constant(at), above: fc.integer({ min: -1, max: at - 1 }) }),
    ),
  ],
]
const accidents: readonly [number, fc.Arbitrary<Event>][] = [
  [3, fc.record({ kind: fc.constantFrom('kill', 'vanish'), slot })],
  [1, fc.record({ kind: fc.constant('operator'), on })],
]
const troubles: readonly [number, fc.Arbitrary<Event>][] = [
  [2, fc.record({ kind: fc.constantFrom('unknown', 'slow'), on })],
  [1, fc.record({ kind: fc.constant('refuse') })],
  [1, fc.record({ kind: fc.constant('clock'), hours: fc.constantFrom(-1, 0, 1) })],
  [1, fc.record({ kind: fc.constant('image'), value: fc.nat(2) })],
]

/** `whole`: also what only a fake backend can be made to do. */
export function walks(length: number, whole: boolean): fc.Arbitrary<Step[]> {
  const kinds = [...edits, ...accidents, ...(whole ? troubles : [])]
  const event = fc.oneof(...kinds.map(([weight, arbitrary]) => ({ weight, arbitrary })))
  const pause = fc.constantFrom(0, 0, 20, 200, whole ? 600 : 2_000)
  const step = fc.record({ event, pause })
  // Something has to be there for anything to happen to it.
  const begin = slots.map((at): Step => ({ event: { kind: 'create', slot: at }, pause: 0 }))
  return fc.array(step, { minLength: length, maxLength: length }).map((steps) => begin.concat(steps))
}

/** What was asked of one workspace, and how often its instance had a reason to be another. */
export interface Wish {
  readonly uid: string
  paused: boolean
  sleepy: boolean
  env: number
  above: number
  /** Every launch beyond these has no cause. */
  reasons: number
}

export type Wishes = Map<number, Wish>

/** Those that a change of one's power reaches. */
export function below(wishes: Wishes, top: number): Wish[] {
  return [...wishes].filter(([at]) => at !== top && chain(wishes, at).includes(top)).map(([, wish]) => wish)
}

function chain(wishes: Wishes, from: number): number[] {
  const found: number[] = []
  for (let at = wishes.get(from)?.above ?? -1; at >= 0 && wishes.has(at); at = wishes.get(at)?.above ?? -1)
    found.push(at)
  return found
}

export type End = 'paused' | 'hibernated' | 'online'

/** Where a workspace must come to rest. */
export function endOf(wishes: Wishes, at: number): End {
  const wish = wishes.get(at)
  if (wish?.paused === true || chain(wishes, at).some((up) => wishes.get(up)?.paused === true)) return 'paused'
  return wish?.sleepy === true ? 'hibernated' : 'online'
}
