import { expect, test } from 'vitest'
import { InstanceAges } from './instance-age.ts'

test('an hour forward on the clock is no hour of an instance', () => {
  let tick = 1000
  const ages = new InstanceAges(() => tick)
  const started = new Date('2026-01-01T12:00:00Z')
  expect(ages.of('u', 'a', started, new Date(started.getTime() + 5000))).toBe(5000)
  tick += 1000
  expect(ages.of('u', 'a', started, new Date(started.getTime() + 3_606_000))).toBe(6000)
  expect(ages.of('u', 'a', started, new Date(started.getTime() - 3_600_000))).toBe(6000)
})

test('an instance from the future is new', () => {
  const started = new Date('2026-01-01T12:00:00Z')
  expect(new InstanceAges(() => 0).of('u', 'a', started, new Date(started.getTime() - 1000))).toBe(0)
})

test('an instance that was started here is new, however the clocks were set meanwhile', () => {
  let tick = 1000
  const ages = new InstanceAges(() => tick)
  ages.begin('u', 'a')
  tick += 500
  ages.begin('u', 'a')
  const started = new Date('2026-01-01T12:00:00Z')
  expect(ages.of('u', 'a', started, new Date(started.getTime() + 3_600_000))).toBe(500)
})

test('an object has one instance at a time, and is forgotten with it', () => {
  let tick = 1000
  const ages = new InstanceAges(() => tick)
  const started = new Date('2026-01-01T12:00:00Z')
  for (const id of ['a', 'b', 'c']) {
    ages.begin('u', id)
    tick += 500
    expect(ages.of('u', id, started, started)).toBe(500)
  }
  expect(ages.of('u', 'd', started, new Date(started.getTime() + 7000))).toBe(7000)
  expect(ages.size).toBe(1)
  ages.forget('u')
  expect(ages.size).toBe(0)
})
