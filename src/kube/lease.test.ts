import { expect, test } from 'vitest'
import { breakOf, type Lease, type LeaseBreak } from './lease.ts'

const me = 'me'

interface Fields {
  readonly version?: string
  readonly uid?: string
  readonly holder?: string
  readonly taken?: number
  readonly renewed?: number
}

const at = (second: number) => `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000Z`

/** Taken by `other` at 1, renewed at 10, unless said. */
function lease({ version = '1000', uid = 'first', holder = 'other', taken = 1, renewed = 10 }: Fields): Lease {
  return {
    metadata: { name: 'operator', namespace: 'here', uid, resourceVersion: version },
    spec: { holderIdentity: holder, acquireTime: at(taken), renewTime: at(renewed), leaseDurationSeconds: 15 },
  }
}

const mine = (fields: Fields = {}) => lease({ holder: me, ...fields })
const theirs = lease

test.each<[string, Lease | undefined, Lease | undefined, LeaseBreak | undefined]>([
  ['the first look, at a record', undefined, theirs({}), undefined],
  ['the first look, at none', undefined, undefined, undefined],
  ['the same record', theirs({}), theirs({}), undefined],
  ['a renewal', theirs({}), theirs({ version: '1001', renewed: 12 }), undefined],
  ['given back', theirs({}), theirs({ version: '1001', holder: '' }), undefined],
  ['our renewal whose answer was lost', mine(), mine({ version: '1001', renewed: 12 }), undefined],
  ['the same within one millisecond', mine(), mine({ version: '1001' }), undefined],
  ['our taking whose answer was lost', theirs({}), mine({ version: '1001', taken: 30, renewed: 30 }), undefined],
  ['our record of before', mine(), mine({ version: '900', renewed: 8 }), 'olderVersion'],
  [
    'the record of before, of a holder of before',
    theirs({}),
    theirs({ version: '900', holder: 'old' }),
    'olderVersion',
  ],
  ['a version with fewer digits', mine(), mine({ version: '999', renewed: 8 }), 'olderVersion'],
  ['versions that are no numbers', mine({ version: 'b' }), mine({ version: 'a', renewed: 12 }), undefined],
  ['this very version with another time', mine(), mine({ renewed: 12 }), 'olderVersion'],
  ['this very version of another holder', mine(), theirs({}), 'olderVersion'],
  ['our record of before, written to since', mine(), mine({ version: '1200', renewed: 8 }), 'olderRenewal'],
  ['that of another', theirs({}), theirs({ version: '1200', renewed: 8 }), 'olderRenewal'],
  ['none any more', theirs({}), undefined, 'missing'],
  ['another object', mine(), mine({ version: '1200', uid: 'second', renewed: 12 }), 'madeAnew'],
  [
    'taken by another',
    theirs({}),
    theirs({ version: '1200', holder: 'third', taken: 30, renewed: 30 }),
    'changedHands',
  ],
  ['taken again by its holder', theirs({}), theirs({ version: '1200', taken: 30, renewed: 30 }), 'changedHands'],
  [
    'given back by a third',
    theirs({}),
    theirs({ version: '1200', holder: '', taken: 30, renewed: 30 }),
    'changedHands',
  ],
  ['taken after it was given back', theirs({ holder: '' }), theirs({ version: '1200', taken: 12 }), 'changedHands'],
])('%s', (_, known, found, expected) => {
  expect(breakOf(known, found, me)).toBe(expected)
})
