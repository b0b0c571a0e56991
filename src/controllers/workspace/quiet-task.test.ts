import { expect, test } from 'vitest'
import { QuietTasks, quietSince, type QuietRow } from './quiet-task.ts'

const at = (second: number) => new Date(second * 1000)
const row = (part: Partial<QuietRow> = {}): QuietRow => ({
  activeTasks: 1,
  busySince: at(20),
  lastTrafficAt: at(10),
  registeredAt: at(5),
  ...part,
})

test('a task is quiet since it began, or since the last message', () => {
  expect(quietSince(row())).toEqual(at(20))
  expect(quietSince(row({ lastTrafficAt: at(30) }))).toEqual(at(30))
  expect(quietSince(row({ busySince: undefined, lastTrafficAt: undefined }))).toEqual(at(5))
  expect(quietSince(row({ activeTasks: 0 }))).toBeUndefined()
  expect(quietSince(row({ registeredAt: undefined }))).toBeUndefined()
})

test('it is counted from the first look, by a clock that does not jump, and anew after each message', () => {
  let clock = 0
  const quiet = new QuietTasks(() => clock)
  expect(quiet.of('u', row(), at(3600))).toBe(0)
  clock = 60_000
  expect(quiet.of('u', row(), at(7200))).toBe(60_000)
  expect(quiet.of('u', row(), at(30))).toBe(10_000)
  expect(quiet.of('u', row({ lastTrafficAt: at(40) }), at(7200))).toBe(0)
  clock = 90_000
  expect(quiet.of('u', row({ lastTrafficAt: at(40) }), at(7200))).toBe(30_000)
  expect(quiet.of('other', row(), at(7200))).toBe(0)
  expect(quiet.of('u', row({ activeTasks: 0 }), at(7200))).toBe(0)
  expect(quiet.of('u', row({ lastTrafficAt: at(40) }), at(7200))).toBe(0)
})
