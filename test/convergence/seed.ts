/** The walks of a usual run are the same ones every time: a landing must not depend on which were drawn. */
import { randomBytes } from 'node:crypto'

/** CONVERGENCE_SEED, if it is given: a number, or `random` to explore; otherwise the usual one. */
export function seedOf(usual: number): number {
  const asked = process.env['CONVERGENCE_SEED']
  if (asked === 'random') return randomBytes(4).readInt32LE()
  const seed = asked === undefined ? usual : Number(asked)
  if (!Number.isInteger(seed)) throw new Error(`CONVERGENCE_SEED is a whole number or "random", not "${asked ?? ''}"`)
  return seed
}
