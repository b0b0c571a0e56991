/** One pair of tenants, and a walk of the one beside the life of the other. */
import { isDeepStrictEqual } from 'node:util'
import { reasonOf } from '../../src/errors.ts'
import { until } from '../support/until.ts'
import { Intruder } from './intruder.ts'
import { changes, Neighbour, type Change } from './neighbour.ts'
import { difference, pictureOf } from './picture.ts'
import type { Step } from './walk.ts'
import { patiently, type World } from './world.ts'

/** What the neighbour does during a walk follows from the number of the walk, so that one can be played again alone. */
export const changeOf = (walk: number): Change => changes[walk % changes.length] ?? 'image'

/** Pictures of a neighbour that nothing was tried on, by what it lived through. */
export class Reference {
  readonly #world: World
  readonly #pictures = new Map<string, string[]>()

  constructor(world: World) {
    this.#world = world
  }

  /** Lives through all of it alone, and keeps a picture after each change. */
  async live(lived: readonly Change[]): Promise<void> {
    const neighbour = await Neighbour.open(this.#world)
    for (let at = 0; at < lived.length; at++) {
      await neighbour.live(lived[at] ?? 'image')
      this.#pictures.set(lived.slice(0, at + 1).join(), await this.#settled(neighbour))
    }
  }

  /** Its picture once that has not changed for two seconds: counts in a status come a second after what they count. */
  async #settled(neighbour: Neighbour): Promise<string[]> {
    let [last, since] = [[] as string[], performance.now()]
    return await patiently('a neighbour in which nothing moves', async () => {
      const picture = await pictureOf(neighbour, this.#world)
      if (!isDeepStrictEqual(picture, last)) [last, since] = [picture, performance.now()]
      return performance.now() - since > 2_000 ? picture : undefined
    })
  }

  async after(lived: readonly Change[]): Promise<readonly string[]> {
    if (!this.#pictures.has(lived.join())) await this.live(lived)
    return this.#pictures.get(lived.join()) ?? []
  }
}

export class Trial {
  readonly #world: World
  readonly #reference: Reference
  readonly #neighbour: Neighbour
  readonly #intruder: Intruder
  readonly #lived: Change[] = []

  private constructor(world: World, reference: Reference, neighbour: Neighbour, intruder: Intruder) {
    this.#world = world
    this.#reference = reference
    this.#neighbour = neighbour
    this.#intruder = intruder
  }

  static async open(world: World, reference: Reference): Promise<Trial> {
    const neighbour = await Neighbour.open(world)
    return new Trial(world, reference, neighbour, await Intruder.open(world, neighbour))
  }

  /** What did not hold, a line each; nothing, if all did. After a fault the pair is of no more use. */
  async play(steps: readonly Step[], walk: number): Promise<string[]> {
    const change = changeOf(walk)
    this.#lived.push(change)
    const over = new AbortController()
    const watched = this.#intruder.watch(over.signal)
    // Told below, after what else went wrong.
    watched.catch(() => undefined)
    const [lived, tried] = await Promise.allSettled([this.#neighbour.live(change), this.#intruder.play(steps)])
    over.abort()
    await watched
    if (tried.status === 'rejected') throw tried.reason
    if (lived.status === 'rejected') return [`held up: ${reasonOf(lived.reason)}`]
    await this.#intruder.settle()
    await this.#intruder.speak()
    await this.#intruder.compare(walk)
    const during = [...(await this.#changed()), ...(await this.#shown())]
    if (during.length > 0) return during
    await this.#intruder.leave()
    return [...(await this.#changed()), ...(await this.#shown())]
  }

  /** In what the neighbour differs from one that was let be. What is on its way there is waited for. */
  async #changed(): Promise<string[]> {
    const expected = await this.#reference.after(this.#lived)
    let found: string[] = []
    const look = async () => {
      found = difference(expected, await pictureOf(this.#neighbour, this.#world))
      return found.length === 0
    }
    await until(look, { within: 20_000, every: 300 }).catch(() => undefined)
    return found
  }

  /** What the other tenant can read and has of the neighbour alone; and what its instances were given. */
  async #shown(): Promise<string[]> {
    const { namespace, mark, known, learnt } = this.#neighbour
    const hidden = [namespace, mark, ...[...known.keys()].filter((id) => !learnt.includes(id))]
    const reads = await this.#intruder.reads()
    const found = reads.flatMap(([where, text]) => {
      const words = where === 'instance' ? [...hidden, ...learnt] : hidden
      return words.flatMap((word) =>
        text.includes(word) ? [`${where} shows ${known.get(word) ?? word}: ${around(text, word)}`] : [],
      )
    })
    return [...new Set([...found, ...this.#intruder.told])]
  }
}

function around(text: string, word: string): string {
  const at = text.indexOf(word)
  return text.slice(Math.max(0, at - 150), at + word.length + 60)
}
