/** Whatever agents, engines, images and templates say, the real API server takes the status that it ends up in. */
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { statusFitter } from '../../src/api/fit.ts'
import { schemaOf } from '../../src/api/structural.ts'
import { anyStatus } from '../support/any-status.ts'
import { controlPlane, namespace } from '../support/cluster.ts'
import { kindNames, kinds, least, objectOf, requests, type Json, type Requests } from './requests.ts'

const home = await namespace()
let api: Requests
beforeAll(async () => {
  api = await requests(home, controlPlane().kubeconfig)
})
afterAll(() => api.close())

describe.each(kindNames)('%s', (kind) => {
  test('any text or number in any place of a status, once fitted, is accepted', async () => {
    await api.create(objectOf(kind, 'told', least[kind]), false)
    const fit = statusFitter(kinds[kind].status, kind)
    await fc.assert(
      fc.asyncProperty(anyStatus(schemaOf(kinds[kind].status, kind)), async (status) => {
        const patch = { status: fit(status as object) as Json }
        expect(await api.patch(kind, 'told', patch, { status: true })).toMatchObject({ refused: false })
      }),
      { numRuns: 60 },
    )
    await api.remove(kind, 'told')
  })
})

test('what is refused is told by field and rule, without the value', async () => {
  await api.create(objectOf('Workspace', 'refused', {}), false)
  const summary = 'bad key hunter2-"correct"\u001B[1m: horse'
  const answer = await api.patch('Workspace', 'refused', { status: { summary } }, { status: true })
  expect(answer).toMatchObject({ refused: true, code: 422 })
  const told = answer.refused ? answer.message : ''
  expect(told).toContain('status.summary: Invalid value: must be one line')
  expect(told).not.toMatch(/hunter2|correct|horse/)
  await api.remove('Workspace', 'refused')
})
