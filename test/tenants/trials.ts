/** Many walks, on many pairs of tenants at once under one operator. */
import * as fc from 'fast-check'
import { reasonOf } from '../../src/errors.ts'
import { shrink } from './shrink.ts'
import { changeOf, Reference, Trial } from './trial.ts'
import { walks, type Step } from './walk.ts'
import type { World } from './world.ts'

/** Walks that one pair plays in turn, and steps of a walk at least. */
export const turns = 8
const length = 30

export interface Violation {
  readonly seed: number
  readonly walk: number
  readonly faults: readonly string[]
  readonly steps: readonly Step[]
}

export interface Played {
  readonly walks: number
  readonly steps: number
  readonly violations: readonly Violation[]
}

export const drawn = (seed: number, count: number): readonly (readonly Step[])[] =>
  fc.sample(walks(length), { seed, numRuns: count })

export class Trials {
  readonly #world: World
  readonly #reference: Reference

  constructor(world: World) {
    this.#world = world
    this.#reference = new Reference(world)
  }

  /** How a neighbour lives that is let be: all walks are judged by it. */
  async prepare(): Promise<void> {
    await this.#reference.live(Array.from({ length: turns }, (_, at) => changeOf(at)))
  }

  /** `pairs` times `turns` walks of one seed. A pair ends with its first violation. */
  async play(seed: number, pairs: number): Promise<Played> {
    const all = drawn(seed, pairs * turns)
    const played = await Promise.all(
      Array.from({ length: pairs }, (_, pair) =>
        this.#turns(seed, all.slice(pair * turns, (pair + 1) * turns), pair * turns),
      ),
    )
    return {
      walks: played.reduce((sum, { walks: count }) => sum + count, 0),
      steps: played.reduce((sum, { steps }) => sum + steps, 0),
      violations: played.flatMap(({ violations }) => violations),
    }
  }

  /** One walk of a seed on a pair of its own. */
  async again(seed: number, walk: number, steps = drawn(seed, walk + 1)[walk] ?? []): Promise<readonly string[]> {
    const trial = await Trial.open(this.#world, this.#reference)
    return await trial.play(steps, walk)
  }

  /** The same violation by as few steps as a number of tries finds. */
  async shortest({ seed, walk, steps }: Violation, tries: number): Promise<readonly Step[]> {
    const fails = async (fewer: readonly Step[]) => (await this.again(seed, walk, fewer)).length > 0
    return await shrink(steps, fails, tries)
  }

  async #turns(seed: number, all: readonly (readonly Step[])[], first: number): Promise<Played> {
    const trial = await Trial.open(this.#world, this.#reference)
    let steps = 0
    for (let at = 0; at < all.length; at++) {
      const walk = all[at] ?? []
      steps += walk.length
      const faults = await trial.play(walk, first + at).catch((error: unknown) => [reasonOf(error)])
      if (faults.length > 0)
        return { walks: at + 1, steps, violations: [{ seed, walk: first + at, faults, steps: walk }] }
    }
    return { walks: all.length, steps, violations: [] }
  }
}

/** As it is printed. */
export const told = ({ seed, walk, faults, steps }: Violation): string =>
  [
    `seed ${seed}, walk ${walk}: npm run tenants -- --seed ${seed} --walk ${walk}`,
    ...faults.slice(0, 12).map((fault) => `  ${fault.slice(0, 1000)}`),
    ...steps.map((step) => `    ${JSON.stringify(step)}`),
  ].join('\n')
