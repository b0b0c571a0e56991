import { beforeAll, describe, expect, test } from 'vitest'
import { hasGo, hasLua, healthOf, judge, judgeProgram } from './judges.ts'

const failing = (name: string, message: string) => ({
  apiVersion: 'molecule.dev/v1alpha1',
  kind: 'Workspace',
  metadata: { name, namespace: 'ns', generation: 1 },
  status: {
    observedGeneration: 1,
    conditions: [
      { type: 'Ready', status: 'False', reason: 'Stalled', message },
      { type: 'Stalled', status: 'True', reason: 'Stalled', message },
    ],
  },
})
const messages = ['one\ntwo\n\nthree', '', 'ümlaut "quoted" \\ \t', 'last']

test.skipIf(!hasLua)('a message of any text is told of its own object by Argo CD', async () => {
  const told = await healthOf(messages.map((message, i) => failing(`w${i}`, message)))
  expect(told.map(({ message }) => message)).toEqual(messages)
  expect(told.map(({ status }) => status)).toEqual(messages.map(() => 'Degraded'))
})

describe.skipIf(!hasGo)('with go', () => {
  beforeAll(() => judgeProgram(), 900_000)

  test('a message of any text is told of its own object by kstatus', async () => {
    const told = await judge(messages.map((message, i) => failing(`w${i}`, message)))
    expect(told.map(({ message }) => message)).toEqual(messages)
  })
})
