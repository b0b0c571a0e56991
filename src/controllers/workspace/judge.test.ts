import { expect, test } from 'vitest'
import { minutes } from '../../duration.ts'
import { judgeConnected, judgeLaunched, type Facts } from './judge.ts'

const facts = (PLATFORM_URL: string, more: object = {}) =>
  ({
    row: { backend: 'docker', status: 'provisioning' },
    wish: 'running',
    sight: 'booting',
    hold: 0,
    power: { power: { state: 'Running', reason: 'AsAsked' }, awaitsParent: false },
    desired: { bootDeadline: minutes(5), instance: { env: { PLATFORM_URL } } },
    ...more,
  }) as unknown as Facts

test('where an agent does not register, the address that it was given is named, without what may be secret in it', () => {
  expect(judgeConnected(facts('http://op:hunter2@127.0.0.1:8080/x?token=hunter2'))).toEqual({
    holds: false,
    reason: 'AwaitingRegistration',
    message: "the agent has not registered yet; the operator's address that it was given is http://127.0.0.1:8080",
  })
  const external = facts('http://operator:8080', { row: { backend: 'external', status: 'awaiting_agent' } })
  expect(judgeConnected(external).message).toBe(
    'the agent has not registered yet: its owner starts it, since the backend external launches nothing',
  )
  expect(judgeLaunched(facts('http://operator:8080/', { sight: 'overdue' }))).toMatchObject({
    reason: 'BootDeadlineExceeded',
    message: expect.stringMatching(/^the agent did not register at http:\/\/operator:8080 within 5m: /),
  })
})
