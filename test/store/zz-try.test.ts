import { expect, test } from 'vitest'
import { database } from '../support/database.ts'
const url = await database()
test('x', () => {
  expect(url).toContain('molecule_test')
})
