import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, expect, test } from 'vitest'
import { milliseconds } from '../../duration.ts'
import { reasonOf } from '../../errors.ts'
import { Looks } from './looks.ts'

const never = new AbortController().signal
/** Answers nothing, until it is given up. */
const still = (signal: AbortSignal) => sleep(3_600_000, 'late', { signal })
const answers = () => Promise.resolve('found')
const refuses = () => Promise.reject(new Error('connect ECONNREFUSED'))

let looks: Looks
beforeEach(() => {
  looks = new Looks({ deadline: milliseconds(500), shortDeadline: milliseconds(5) })
})

const look = (call: (signal: AbortSignal) => Promise<string>, signal = never) =>
  looks.within(signal, call).catch(reasonOf)

/** The names of looks that begin at once, in the order in which they ended: those with the short deadline come first. */
async function ended(count: number): Promise<string[]> {
  const order: string[] = []
  const one = async (name: string) => {
    expect(await look(still)).toBe('timed out')
    order.push(name)
  }
  await Promise.all(Array.from({ length: count }, (_, at) => one(`look ${at}`)))
  return order
}

test('an engine that answers has the whole deadline for each look', async () => {
  expect(await look(answers)).toBe('found')
  expect(await ended(3)).toEqual(['look 0', 'look 1', 'look 2'])
})

test('at one that stands still one look at a time has the whole deadline, and the others a short one', async () => {
  await look(still)
  expect(await ended(3)).toEqual(['look 1', 'look 2', 'look 0'])
  expect(await ended(3)).toEqual(['look 1', 'look 2', 'look 0'])
})

test('one that is slow is found by the look that has the whole deadline, and all have it again', async () => {
  await look(still)
  const slow = (signal: AbortSignal) => sleep(100, 'found', { signal })
  expect(await Promise.all([look(slow), look(slow)])).toEqual(['found', 'timed out'])
  expect(await Promise.all([look(slow), look(slow)])).toEqual(['found', 'found'])
})

test('a look that times out alone, while others are answered, says nothing of the engine', async () => {
  const stuck = look(still)
  await look(answers)
  expect(await stuck).toBe('timed out')
  expect(await ended(2)).toEqual(['look 0', 'look 1'])
})

test('one that refuses does not stand still, and what it says is kept', async () => {
  await look(still)
  expect(await look(refuses)).toBe('connect ECONNREFUSED')
  expect(await ended(2)).toEqual(['look 0', 'look 1'])
})

test('a look that its caller gives up says nothing of the engine', async () => {
  const stop = new AbortController()
  const given = looks.within(stop.signal, still)
  stop.abort(new Error('enough'))
  await expect(given).rejects.toThrow('aborted')
  expect(await ended(2)).toEqual(['look 0', 'look 1'])
  // Nor that one that stands still answers again.
  await expect(looks.within(AbortSignal.abort(), still)).rejects.toThrow('aborted')
  expect(await ended(2)).toEqual(['look 1', 'look 0'])
})
