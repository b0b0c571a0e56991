/**
 * Two tenants under one operator: whatever the one tries, the other is as it is without it, and nothing of it shows. The
 * same walks every time; `npm run tenants` plays others, by the environment that it sets here.
 */
import { randomInt } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import { told, Trials, turns, type Violation } from './trials.ts'
import { World } from './world.ts'

const {
  TENANTS_SEED = '9',
  TENANTS_WALK,
  TENANTS_MINUTES = '0',
  TENANTS_PAIRS = '25',
  TENANTS_TRIES = '12',
} = process.env
const pairs = Number(TENANTS_PAIRS)
const until = performance.now() + Number(TENANTS_MINUTES) * 60_000
const seed = TENANTS_SEED === 'random' ? randomInt(2 ** 31) : Number(TENANTS_SEED)
const world = await World.open()
const trials = new Trials(world)

/** Violations as they are printed, the first of them by as few steps as can be. */
async function report(violations: readonly Violation[]): Promise<string> {
  const [first, ...others] = violations
  if (first === undefined) return ''
  const steps = await trials.shortest(first, Number(TENANTS_TRIES))
  return [{ ...first, steps }, ...others].map(told).join('\n')
}

if (TENANTS_WALK === undefined) {
  beforeAll(() => trials.prepare(), 300_000)

  test(
    `${pairs * turns} walks from seed ${seed} change and show nothing of a neighbour`,
    { timeout: 3_600_000 },
    async () => {
      for (let next = seed; next === seed || performance.now() < until; next++) {
        const began = performance.now()
        const { walks, steps, violations } = await trials.play(next, pairs)
        const seconds = ((performance.now() - began) / 1000).toFixed(0)
        console.info(
          `  tenants: seed ${next}, ${walks} walks, ${steps} steps, ${violations.length} violations, ${seconds} s`,
        )
        expect(await report(violations)).toBe('')
      }
    },
  )
} else
  test(
    `walk ${TENANTS_WALK} of seed ${seed} changes and shows nothing of a neighbour`,
    { timeout: 600_000 },
    async () => {
      const faults = await trials.again(seed, Number(TENANTS_WALK))
      expect(faults).toEqual([])
    },
  )
