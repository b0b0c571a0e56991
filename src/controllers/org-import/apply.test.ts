import { expect, it } from 'vitest'
import { planFor } from '../../../test/support/org-plan.ts'
import type { Client } from '../../kube/client.ts'
import { KubeError } from '../../kube/kube-error.ts'
import { applyChildren } from './apply.ts'

const { actions } = planFor(
  Array.from({ length: 100 }, (_, i) => ({ name: `Node ${i}` })),
  [],
)
const { signal } = new AbortController()
const never = () => Promise.reject(new Error('nobody calls this'))
const answering = (apply: () => Promise<unknown>): Client => ({
  get: never,
  create: never,
  mergePatch: never,
  mergePatchStatus: never,
  delete: never,
  apply: apply as Client['apply'],
})

it('begins nothing more once a pass has lasted long, and says of the rest that it waits', async () => {
  let time = 0
  const client = answering(() => Promise.resolve((time += 1_000)))
  const done = await applyChildren(actions, client, signal, undefined, () => time)
  const count = (deed: string) => done.filter((each) => each.deed === deed).length
  expect(count('Created')).toBeGreaterThan(20)
  expect(count('Created')).toBeLessThan(60)
  expect(count('Created') + count('Waiting')).toBe(100)
})

it('fails as a whole when nobody answers, however many are still waiting', async () => {
  let time = 0
  const unreachable = new KubeError(0, 'NetworkError', 'connect ECONNREFUSED')
  const client = answering(() => {
    time += 1_000
    return Promise.reject(unreachable)
  })
  await expect(applyChildren(actions, client, signal, undefined, () => time)).rejects.toBe(unreachable)
})
