import { expect, test } from 'vitest'
import { workspaceId } from '../store/workspace-store.ts'
import { createWakes } from './wakes.ts'

test('measures from the first refusal to the first answer, once', () => {
  const seen: number[] = []
  let time = 0
  const wakes = createWakes(
    (seconds) => void seen.push(seconds),
    () => time,
  )
  const [a, b] = [workspaceId('a'), workspaceId('b')]
  wakes.asked(a)
  time = 15_000
  wakes.asked(a)
  wakes.accepted(b)
  time = 20_000
  wakes.accepted(a)
  wakes.accepted(a)
  expect(seen).toEqual([20])
})

test('forgets the longest asleep of too many', () => {
  const seen: number[] = []
  const wakes = createWakes((seconds) => void seen.push(seconds))
  for (let i = 0; i <= 1000; i++) wakes.asked(workspaceId(String(i)))
  wakes.accepted(workspaceId('0'))
  expect(seen).toEqual([])
  wakes.accepted(workspaceId('1000'))
  expect(seen).toHaveLength(1)
})
