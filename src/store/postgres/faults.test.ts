import { DatabaseError } from 'pg'
import { describe, expect, test } from 'vitest'
import { Fenced, RetryAfter, Terminal, Unavailable } from '../../errors.ts'
import { seconds } from '../../duration.ts'
import {
  faultOf,
  NotConnected,
  PoolOccupied,
  surfaced,
  troubleOf,
  troubles,
  type Fault,
  type Trouble,
} from './faults.ts'

const ofServer = (code: string) => {
  const error = new DatabaseError('FATAL: for user "op" at host "10.1.2.3"', 0, 'error')
  error.code = code
  return error
}
const coded = (code: string) => Object.assign(new Error(`connect ${code} 10.1.2.3:5432`), { code })

const cases: readonly (readonly [what: string, error: Error, fault: Fault, trouble: Trouble | undefined])[] = [
  ['refused', new NotConnected(coded('ECONNREFUSED')), 'connection', 'unreachable'],
  ['unknown name', new NotConnected(coded('ENOTFOUND')), 'connection', 'unreachable'],
  ['TLS refused', new NotConnected(coded('DEPTH_ZERO_SELF_SIGNED_CERT')), 'connection', 'unreachable'],
  [
    'no TLS there',
    new NotConnected(new Error('The server does not support SSL connections')),
    'connection',
    'unreachable',
  ],
  ['no answer in time', new NotConnected(new Error('timeout expired')), 'connection', 'unreachable'],
  ['every address refused', new AggregateError([coded('ECONNREFUSED')]), 'connection', 'unreachable'],
  ['a statement without an answer', new Error('Query read timeout'), 'connection', 'unreachable'],
  ['a connection that broke', coded('ECONNRESET'), 'connection', 'unreachable'],
  ['said by a pooler', ofServer('08P01'), 'connection', 'unreachable'],
  ['another server behind a pooler', ofServer('26000'), 'connection', 'unreachable'],
  ['shut down', ofServer('57P01'), 'connection', 'unreachable'],
  ['starting', new NotConnected(ofServer('57P03')), 'connection', 'starting'],
  ['a standby', ofServer('25006'), 'connection', 'read_only'],
  ['wrong password', new NotConnected(ofServer('28P01')), 'unavailable', 'credentials'],
  ['not let in', new NotConnected(ofServer('28000')), 'unavailable', 'credentials'],
  ['no such database', new NotConnected(ofServer('3D000')), 'unavailable', 'closed'],
  ['not currently accepting connections', new NotConnected(ofServer('55000')), 'unavailable', 'closed'],
  ['database dropped', ofServer('57P04'), 'unavailable', 'closed'],
  ['too many connections', new NotConnected(ofServer('53300')), 'unavailable', 'connections'],
  ['disk full', ofServer('53100'), 'unavailable', 'resources'],
  ['out of memory', ofServer('53200'), 'unavailable', 'resources'],
  ['a file that cannot be written', ofServer('58030'), 'unavailable', 'resources'],
  ['no such table', ofServer('42P01'), 'unavailable', 'schema'],
  ['no such column', ofServer('42703'), 'unavailable', 'schema'],
  ['no right', ofServer('42501'), 'unavailable', 'schema'],
  ['cancelled', ofServer('57014'), 'slow', 'busy'],
  ['a lock that lasts', ofServer('55P03'), 'slow', 'busy'],
  ['no connection free', new PoolOccupied(new Error('timeout exceeded')), 'occupied', 'pool'],
  ['deadlock', ofServer('40P01'), 'clash', undefined],
  ['not serializable', ofServer('40001'), 'clash', undefined],
  ['there already', ofServer('23505'), 'conflict', undefined],
  ['no such row', ofServer('23503'), 'conflict', undefined],
  ['no such value', ofServer('22P02'), 'row', undefined],
  ['against a rule', ofServer('23514'), 'row', undefined],
  ['too long for its index', ofServer('54000'), 'row', undefined],
  ['a mistake in SQL', ofServer('42601'), 'other', 'other'],
  ['a code that nobody knows', ofServer('XX000'), 'other', 'other'],
  ['fenced', new Fenced('epoch 3 is over'), 'other', undefined],
  ['not a fault of the database', new RetryAfter(seconds(1), 'the lease may have passed'), 'other', undefined],
]

test.each(cases)('%s', (_, error, fault, trouble) => {
  expect(faultOf(error)).toBe(fault)
  expect(troubleOf(error)).toBe(trouble)
})

test('every word of troubles has a code that leads to it', () => {
  expect(new Set(cases.flatMap(([, , , trouble]) => trouble ?? []))).toEqual(new Set(Object.keys(troubles)))
})

describe('what the caller of a store sees', () => {
  const awaited = cases.filter(([, , fault]) => fault !== 'row' && fault !== 'other')
  test.each(awaited)(
    '%s is waited for, at a steady pace, and in words that tell no tenant of the inside',
    (_, error, fault) => {
      const seen = surfaced(error)
      expect(seen).toBeInstanceOf(Unavailable)
      const away = fault === 'connection' || fault === 'unavailable'
      expect(seen).toMatchObject({ reason: away ? 'DatabaseUnavailable' : 'DatabaseBusy' })
      const { message, after } = seen as Unavailable
      expect(Object.values(troubles)).toContain(message)
      expect(message).not.toMatch(/op"|10\.1|5432/)
      expect(after).toBeGreaterThanOrEqual(1000)
      expect(after).toBeLessThanOrEqual(2000)
    },
  )
  test('a row that no table takes is the fault of its own caller', () => {
    expect(surfaced(ofServer('22P02'))).toBeInstanceOf(Terminal)
  })
  test('what is unknown comes through as it is', () => {
    const error = ofServer('42601')
    expect(surfaced(error)).toBe(error)
  })
})
