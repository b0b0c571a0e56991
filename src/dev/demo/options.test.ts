import { expect, test } from 'vitest'
import { readOptions } from './options.ts'

test('reads a path and variables, whose values may hold "="', () => {
  const options = readOptions(['some/org', '--env', 'A=1', '--env', 'B=x=y', '--once'], {})
  expect(options?.org.endsWith('/some/org')).toBe(true)
  expect([...(options?.env ?? [])]).toEqual([
    ['A', '1'],
    ['B', 'x=y'],
  ])
  expect(options?.once).toBe(true)
  expect(options?.existing).toBeUndefined()
})

test('an existing cluster is asked for by context or by environment', () => {
  expect(readOptions(['--context', 'kind'], {})?.existing).toEqual({ context: 'kind' })
  expect(readOptions([], { USE_EXISTING_CLUSTER: 'True' })?.existing).toEqual({ context: undefined })
})

test('a value without a name is refused without being repeated', () => {
  expect(() => readOptions(['--env', '=hunter2'], {})).toThrow('--env takes NAME=VALUE')
  expect(() => readOptions(['a', 'b'], {})).toThrow('one org template at a time')
})

test('what is wrong with an option is said by its name alone', () => {
  expect(() => readOptions(['--nope=hunter2'], {})).toThrow(/^there is no option --nope: see --help$/)
  expect(() => readOptions(['-x'], {})).toThrow(/^there is no option -x: see --help$/)
  expect(() => readOptions(['--context'], {})).toThrow(/^--context needs a value: see --help$/)
  expect(() => readOptions(['--env', '--once'], {})).toThrow(/^--env needs a value: see --help$/)
  expect(() => readOptions(['--once=hunter2'], {})).toThrow(/^--once takes no value: see --help$/)
})
