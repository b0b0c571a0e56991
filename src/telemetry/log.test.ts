import { expect, test } from 'vitest'
import { createLogger } from './log.ts'

test('of an error its own texts are logged, with its causes, and no field in which a driver keeps what it was sent', () => {
  const lines: string[] = []
  const cause = Object.assign(new Error('the row was refused'), { detail: 'Failing row contains (hunter2)' })
  const error = Object.assign(new Error('pass\u001B[1m\nfailed', { cause }), { json: { message: 'A=hunter2' } })
  createLogger('info', { write: (line) => void lines.push(line) }).error({ err: error }, 'pass failed')
  const told = JSON.parse(lines.join()) as { err: Record<string, unknown> }
  expect(told.err).toMatchObject({ type: 'Error', message: 'pass failed: the row was refused' })
  expect(Object.keys(told.err)).toEqual(['type', 'message', 'stack'])
  expect(lines.join()).not.toContain('hunter2')
})
