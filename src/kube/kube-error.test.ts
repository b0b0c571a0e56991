import { expect, test } from 'vitest'
import { errorOfAnswer } from './kube-error.ts'

const answer = (...messages: string[]) =>
  JSON.stringify({
    kind: 'Status',
    reason: 'Invalid',
    message: `Workspace.molecule.dev "x" is invalid: ${messages.join(', ')}`,
    details: { causes: messages.map((message) => ({ reason: 'FieldValueInvalid', field: 'status.summary', message })) },
  })

test.each([
  [
    'a text',
    String.raw`Invalid value: "the \"secret\": \u001b[1m": must be one line`,
    'Invalid value: must be one line',
  ],
  ['JSON', 'Invalid value: {"a":"the secret: {","b":["}"]}: cannot change', 'Invalid value: cannot change'],
  ['a value of Go', 'Invalid value: map[string]interface {}{"a":"secret: "}: no', 'Invalid value: no'],
  ['a number', 'Invalid value: 7: must be less', 'Invalid value: must be less'],
  ['a word', 'Unsupported value: "secret": supported values: "a"', 'Unsupported value: supported values: "a"'],
  ['what never ends', 'Invalid value: "the secret', 'Invalid value'],
  ['a rule', 'Invalid value: it would move: make another', 'Invalid value: it would move: make another'],
  ['no value', 'Too long: may not be more than 64 bytes', 'Too long: may not be more than 64 bytes'],
])('an object that is refused is told by field and rule, without %s', (_, message, told) => {
  const error = errorOfAnswer('patch_status', 422, answer(message, message), undefined)
  expect(error.message).toBe(`patch_status: refused as invalid: status.summary: ${told}; status.summary: ${told}`)
  expect(error.causes[0]?.message).toBe(told)
})

test('what is no refusal keeps the words of the API server', () => {
  const body = JSON.stringify({ message: 'workspaces "x" not found', reason: 'NotFound' })
  expect(errorOfAnswer('get', 404, body, undefined).message).toBe('get: workspaces "x" not found')
})

test.each([
  ['2', 2000],
  ['0', 0],
  ['86400', 60_000],
  ['99999999999', 60_000],
  ['Wed, 21 Oct 2026 07:28:00 GMT', undefined],
])('Retry-After: %s', (header, milliseconds) => {
  expect(errorOfAnswer('list', 429, '', header).retryAfter).toBe(milliseconds)
})
