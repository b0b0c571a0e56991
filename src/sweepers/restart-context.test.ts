import { pino } from 'pino'
import { expect, test } from 'vitest'
import { milliseconds, minutes } from '../duration.ts'
import type { OwedContext } from '../store/restart-store.ts'
import { workspaceId } from '../store/workspace-store.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { contextText, restartContext } from './restart-context.ts'
import type { Delivery, DuePrompt } from './scheduler.ts'

const context = (part: Partial<OwedContext> = {}): OwedContext => ({
  workspaceId: workspaceId('w-1'),
  namespace: 'ns',
  ownerUid: 'o-1',
  resourceName: 'ada',
  messageId: 'm-1',
  restartedAt: new Date('2027-01-01T00:00:00Z'),
  endedAt: new Date('2026-12-31T23:59:00Z'),
  variables: ['A', 'B'],
  waited: milliseconds(0),
  ...part,
})

/** Rounds until nothing is owed any more; gives what was sent. */
async function told(owed: OwedContext[], deliver: (prompt: DuePrompt) => Delivery, settleFails = 0): Promise<string[]> {
  const stop = new AbortController()
  const sent: string[] = []
  let fails = settleFails
  const settle = async ({ messageId }: Pick<OwedContext, 'messageId'>) => {
    if (fails-- > 0) throw new Error('the database is away')
    owed.splice(0, owed.length, ...owed.filter((each) => each.messageId !== messageId))
    if (owed.length === 0) stop.abort()
  }
  const sweeper = restartContext({
    every: milliseconds(5),
    log: pino({ level: 'silent' }),
    metrics: createMetrics(),
    event: () => {},
    fence: { epoch: 1n, check: () => {} },
    deliver: async (prompt) => {
      sent.push(prompt.id)
      return deliver(prompt)
    },
    restarts: {
      owed: async () => [...owed],
      settle,
      drop: async (context) => {
        await settle(context)
        return true
      },
    },
  })
  await sweeper.start(stop.signal)
  return sent
}

test('what was delivered, or refused, is settled; what did not come that far is sent again', async () => {
  expect(await told([context()], () => ({ kind: 'delivered' }))).toEqual(['m-1'])
  expect(await told([context()], () => ({ kind: 'failed', detail: 'no' }))).toEqual(['m-1'])
  let tries = 0
  const third = (): Delivery => (++tries < 3 ? { kind: 'notReached', detail: 'away' } : { kind: 'delivered' })
  expect(await told([context()], third)).toEqual(['m-1', 'm-1', 'm-1'])
})

test('one whose end could not be recorded is sent again under its id; one that waited too long is given up', async () => {
  expect(await told([context()], () => ({ kind: 'delivered' }), 1)).toEqual(['m-1', 'm-1'])
  const late = context({ messageId: 'm-2', waited: minutes(10) })
  expect(await told([late, context()], () => ({ kind: 'delivered' }))).toEqual(['m-1'])
})

test('the text says when, and names alone', () => {
  expect(contextText(context())).toBe(
    'This workspace was restarted at 2027-01-01T00:00:00.000Z. The session before was last heard of at 2026-12-31T23:59:00.000Z. Variables of the environment: A, B. What was at work then may not have been finished.',
  )
  expect(contextText(context({ endedAt: undefined, variables: [] }))).toBe(
    'This workspace was restarted at 2027-01-01T00:00:00.000Z. What was at work then may not have been finished.',
  )
})
