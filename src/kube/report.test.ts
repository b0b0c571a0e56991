import { expect, test } from 'vitest'
import type { CommonStatus, KubeObject } from '../api/meta.ts'
import type { Client, ResourceType } from './client.ts'
import type { Outcome } from './reconciler.ts'
import { Reporter } from './report.ts'

type Thing = KubeObject<unknown, CommonStatus>
const metadata = { name: 'a', uid: 'u', resourceVersion: '1', generation: 1, creationTimestamp: '' }

/** A client that answers with the object as it was sent, and the status of the object as it is then. */
function reporter() {
  let object: Thing = { apiVersion: 'v1', kind: 'Thing', metadata, spec: {} }
  const mergePatchStatus = async (_type: unknown, _key: unknown, { status }: { readonly status: CommonStatus }) =>
    (object = { ...object, status: { ...object.status, ...status } })
  const reporter = new Reporter<Thing>({
    client: { mergePatchStatus } as unknown as Client,
    type: {} as ResourceType<Thing>,
  })
  return async (outcome: Outcome, summary: string) => {
    const transition = { to: 'blocked', reason: 'R', actor: 'user' }
    return await reporter.report(object, { status: { conditions: [], summary, transition }, outcome }, new Date())
  }
}

test('a verdict is news when what stalls the object is another than before, not when something else is written', async () => {
  const report = reporter()
  const missing: Outcome = { kind: 'blocked', reason: 'ImageMissing', message: 'no such image' }
  expect(await report(missing, 'one')).toMatchObject({ kind: 'written', news: true })
  expect(await report(missing, 'one')).toEqual({ kind: 'unchanged' })
  expect(await report(missing, 'two')).toMatchObject({ kind: 'written', news: false })
  expect(await report({ ...missing, message: 'no such tag' }, 'two')).toMatchObject({ kind: 'written', news: true })
})
