import { expect, it } from 'vitest'
import type { OrgImport } from '../../api/org-import.ts'
import { minutes, seconds } from '../../duration.ts'
import type { Deed, Done } from './apply.ts'
import { backoff, Tallies } from './tally.ts'

const org = (status?: object) => ({ metadata: { uid: 'u' }, status }) as unknown as OrgImport
/** Those of whom it is not said with a `!` were there before, unless they were made. */
const done = (...deeds: (Deed | `!${Deed}`)[]): Done[] =>
  deeds.map((word, i) => {
    const deed = word.replace('!', '') as Deed
    return { path: `${i}`, name: `n-${i}`, deed, existed: deed === word && deed !== 'Created' }
  })
const add = (tallies: Tallies, nodes: readonly Done[], of = org()) => tallies.add(of, nodes, 0)
const shown = ({ existing, created, updated }: ReturnType<Tallies['add']>) => [existing, created, updated]

it('keeps the count of the last pass that did anything', () => {
  const tallies = new Tallies()
  expect(shown(add(tallies, done('Created', 'Created', '!Failed')))).toEqual([0, 2, 0])
  // One run: the third was only late.
  expect(shown(add(tallies, done('Unchanged', 'Unchanged', 'Created')))).toEqual([0, 3, 0])
  const quiet = add(tallies, done('Unchanged', 'Unchanged', 'Unchanged'))
  expect(shown(quiet)).toEqual([0, 3, 0])
  expect([...quiet.deeds.values()]).toEqual(['Created', 'Created', 'Created'])
  expect(shown(add(tallies, done('Updated', 'Unchanged', 'Unchanged')))).toEqual([3, 0, 1])
})

it('counts who was there when a run takes several passes', () => {
  const tallies = new Tallies()
  expect(shown(add(tallies, done('Updated', 'Unchanged', 'Waiting', '!Waiting')))).toEqual([3, 0, 1])
  expect(shown(add(tallies, done('Unchanged', 'Unchanged', 'Updated', 'Created')))).toEqual([3, 1, 2])
})

it('adds nothing to a run that was finished, when the next one has to wait for its beginning', () => {
  const tallies = new Tallies()
  expect(shown(add(tallies, done('Created', 'Created', 'Created')))).toEqual([0, 3, 0])
  // The third is on its way out, and made again once it is gone.
  expect(shown(add(tallies, done('Unchanged', 'Unchanged', '!Failed')))).toEqual([0, 3, 0])
  expect(shown(add(tallies, done('Unchanged', 'Unchanged', 'Created')))).toEqual([2, 1, 0])
})

it('finds nobody there when the first pass of all could make nobody', () => {
  expect(shown(add(new Tallies(), done('!Failed', '!Failed')))).toEqual([0, 0, 0])
})

it('goes on after a start from what the status says', () => {
  const status = { counts: { existing: 1, created: 1, updated: 0 }, nodes: [{ path: '1', action: 'Created' }] }
  const tally = add(new Tallies(), done('Unchanged', 'Unchanged'), org(status))
  expect(shown(tally)).toEqual([1, 1, 0])
  expect(tally.deeds.get('1')).toBe('Created')
  expect(shown(add(new Tallies(), done('Unchanged', 'Unchanged')))).toEqual([2, 0, 0])
})

it('waits longer each time that it fails when it is due, and anew after it did not', () => {
  const tallies = new Tallies()
  const failAt = (second: number, ...deeds: Deed[]) => {
    const { failures, retryIn } = tallies.add(org(), done(...deeds), 0, second * 1_000)
    return [failures, retryIn]
  }
  expect(failAt(0, 'Failed')).toEqual([1, seconds(1)])
  // Woken by something else: that makes nobody wait longer.
  expect(failAt(0.25, 'Failed', 'Created')).toEqual([1, seconds(0.75)])
  expect(failAt(1, 'Failed')).toEqual([2, seconds(2)])
  expect(failAt(3, 'Failed')).toEqual([3, seconds(4)])
  expect(failAt(4, 'Unchanged')).toEqual([0, 0])
  expect(failAt(5, 'Failed')).toEqual([1, seconds(1)])
  expect(backoff(100)).toBe(minutes(5))
})
