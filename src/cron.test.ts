import { expect, test } from 'vitest'
import { CronError, faultOf, nextRun } from './cron.ts'

/** The runs after a time, as UTC. */
function runs(expression: string, timezone: string, after: string, count: number): string[] {
  const found: string[] = []
  for (let at: Date | undefined = new Date(after); found.length < count;) {
    at = nextRun(expression, timezone, at)
    if (at === undefined) return [...found, 'never']
    found.push(at.toISOString().slice(5, 16))
  }
  return found
}

test('a time of day is that of its zone, summer and winter', () => {
  expect(runs('0 9 * * 1-5', 'Asia/Kathmandu', '2026-03-07T12:00:00Z', 2)).toEqual(['03-09T03:15', '03-10T03:15'])
  expect(runs('0 12 * * *', 'Europe/Berlin', '2026-03-28T00:00:00Z', 2)).toEqual(['03-28T11:00', '03-29T10:00'])
})

test('an hour that is left out: what was fixed to it runs once, right after it', () => {
  const around = runs('30 2 * * *', 'Europe/Berlin', '2026-03-28T00:00:00Z', 3)
  expect(around).toEqual(['03-28T01:30', '03-29T01:00', '03-30T00:30'])
  const listed = runs('30 2,14 * * *', 'America/New_York', '2026-03-08T00:00:00Z', 3)
  expect(listed).toEqual(['03-08T07:00', '03-08T18:30', '03-09T06:30'])
})

test('an hour that comes twice: what is fixed to it runs once', () => {
  const around = runs('30 2 * * *', 'Europe/Berlin', '2026-10-24T00:00:00Z', 3)
  expect(around).toEqual(['10-24T00:30', '10-25T00:30', '10-26T01:30'])
})

test('what runs every so often keeps its pace over both edges', () => {
  const spring = runs('*/30 * * * *', 'Europe/Berlin', '2026-03-29T00:00:00Z', 4)
  expect(spring).toEqual(['03-29T00:30', '03-29T01:00', '03-29T01:30', '03-29T02:00'])
  const autumn = runs('*/30 * * * *', 'Europe/Berlin', '2026-10-24T23:30:00Z', 5)
  expect(autumn).toEqual(['10-25T00:00', '10-25T00:30', '10-25T01:00', '10-25T01:30', '10-25T02:00'])
})

test('a day that never comes is never; one that comes every fourth year is found', () => {
  expect(runs('0 0 30 2 *', 'UTC', '2026-03-01T00:00:00Z', 1)).toEqual(['never'])
  expect(nextRun('0 0 29 2 *', 'UTC', new Date('2026-03-01T00:00:00Z'))?.toISOString()).toContain('2028-02-29')
})

test.each([
  ['99 9 * * *', 'UTC', /minute: 99/],
  ['* * * *', 'UTC', /five/],
  ['0 0 * * * *', 'UTC', /exactly 5/],
  ['@daily', 'UTC', /five fields/],
  ['*/0 * * * *', 'UTC', /stepping/],
  ['0 9 * * *', 'Mars/Olympus', /no IANA time zone/],
  ['0 9 * * *', '', /no IANA time zone/],
])('%s in %s is refused', (expression, timezone, why) => {
  expect(() => nextRun(expression, timezone, new Date())).toThrow(CronError)
  expect(() => nextRun(expression, timezone, new Date())).toThrow(why)
})

test('what never runs is told apart from what does, each time it is asked', () => {
  for (let twice = 0; twice < 2; twice++) {
    expect(faultOf('0 0 30 2 *', 'UTC')).toBe('cron "0 0 30 2 *" never comes')
    expect(faultOf('0 9 * * *', 'Mars/Olympus')).toMatch(/no IANA time zone/)
    expect(faultOf('99 9 * * *', 'UTC')).toMatch(/minute: 99/)
    expect(faultOf('0 0 29 2 *', 'UTC')).toBeUndefined()
  }
})
