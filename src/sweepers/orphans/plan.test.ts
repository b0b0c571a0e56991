import { expect, test } from 'vitest'
import { workspaceId } from '../../store/workspace-store.ts'
import { planes, type OwnedRow, type Plane } from '../../store/orphan-store.ts'
import { findOrphans, standings, suspicionOf, verdictOf, type Standing, type Thing, type Verdict } from './plan.ts'

const truth: Record<Standing, Record<Plane, Verdict>> = {
  none: { row: 'keep', instance: 'take', volume: 'report' },
  live: { row: 'take', instance: 'wait', volume: 'wait' },
  removed: { row: 'keep', instance: 'take', volume: 'take' },
  retained: { row: 'keep', instance: 'keep', volume: 'keep' },
  untold: { row: 'keep', instance: 'report', volume: 'report' },
}

const ref = (uid: string) => ({ uid, namespace: 'acme', name: `ws-${uid}` })
const row = (uid: string, more: Partial<OwnedRow> = {}): OwnedRow => ({
  id: workspaceId(uid),
  ownerUid: uid,
  namespace: 'acme',
  resourceName: `ws-${uid}`,
  backend: 'docker',
  instanceId: undefined,
  live: true,
  deletionPolicy: 'Delete',
  ...more,
})
const instance = (uid: string, id = `i-${uid}`): Thing => ({ backend: 'docker', ref: ref(uid), id })
const volume = (uid: string): Thing => ({ backend: 'docker', ref: ref(uid) })
const nobody = () => false
const retained = new Set<string>()
const brief = (found: ReturnType<typeof findOrphans>) =>
  found.map(({ plane, ownerUid, verdict }) => `${verdict} ${plane} ${ownerUid}`)

const rowsOf: Record<Standing, readonly OwnedRow[]> = {
  none: [],
  live: [row('a')],
  removed: [row('a', { live: false })],
  retained: [row('a', { live: false, deletionPolicy: 'Retain' })],
  untold: [row('a', { live: false, deletionPolicy: undefined })],
}

test.each(standings)('the table, row %s', (standing) => {
  for (const plane of planes) expect([plane, verdictOf(standing, plane)]).toEqual([plane, truth[standing][plane]])
})

test.each(standings)('what is found of an owner without a resource whose standing is %s', (standing) => {
  const things = [volume('a'), instance('a')]
  const expected = planes.flatMap((plane) => {
    const verdict = truth[standing][plane]
    return verdict === 'keep' ? [] : [`${verdict} ${plane} a`]
  })
  expect(brief(findOrphans({ retained, rows: rowsOf[standing], things, present: nobody }))).toEqual(expected)
})

test('whatever has a resource of this very uid is left alone', () => {
  const things = [instance('a'), volume('a')]
  for (const standing of standings) {
    const present = ({ uid }: { uid: string }) => uid === 'a'
    expect(findOrphans({ retained, rows: rowsOf[standing], things, present })).toEqual([])
  }
})

test('an instance that another live owner has adopted is nobody’s orphan, nor are its volumes', () => {
  const adopter = row('b', { instanceId: 'i-a' })
  const things = [instance('a'), volume('a')]
  const left = row('a', { live: false })
  const present = ({ uid }: { uid: string }) => uid === 'b'
  expect(findOrphans({ retained, rows: [left, adopter], things, present })).toEqual([])
  expect(brief(findOrphans({ retained, rows: [left, row('b')], things, present }))).toEqual([
    'take instance a',
    'take volume a',
  ])
})

test('what was retained stays so, also when another resource has adopted the row', () => {
  const seen = { rows: [], retained: new Set(['a']), things: [instance('a'), volume('a')], present: nobody }
  expect(findOrphans(seen)).toEqual([])
})

test('of several rows of an owner the most careful word counts', () => {
  const kept = row('a', { live: false, deletionPolicy: 'Retain' })
  const removed = row('a', { live: false })
  const untold = row('a', { live: false, deletionPolicy: undefined })
  const found = (rows: readonly OwnedRow[]) =>
    brief(findOrphans({ retained, rows, things: [instance('a')], present: nobody }))
  expect(found([removed, kept])).toEqual([])
  expect(found([removed, untold])).toEqual(['report instance a'])
  expect(found([removed, row('a')])).toEqual(['take row a', 'wait instance a'])
})

test('two instances of one owner in one place are one suspect', () => {
  expect(
    findOrphans({ retained, rows: [], things: [instance('a', 'x'), instance('a', 'y')], present: nobody }),
  ).toHaveLength(1)
})

const missing = (count: number) =>
  findOrphans({ retained, rows: Array.from({ length: count }, (_, n) => row(`u${n}`)), things: [], present: nobody })

test.each([
  [0, 0, undefined],
  [0, 3, undefined],
  [0, 4, 'ResourcesEmpty'],
  [15, 4, 'TooManyMissing'],
  [16, 4, undefined],
  [80, 20, undefined],
  [79, 20, 'TooManyMissing'],
] as const)('%i resources there, %i missing: %s', (resources, gone, hold) => {
  expect(suspicionOf(missing(gone), resources, 0.2)?.hold).toBe(hold)
})

test('the share can be lifted, and neither removed rows nor mere reports count', () => {
  expect(suspicionOf(missing(100), 0, 1)).toBeUndefined()
  const many = Array.from({ length: 50 }, (_, n) => `u${n}`)
  const removed = findOrphans({
    retained,
    rows: many.map((uid) => row(uid, { live: false })),
    things: many.map((uid) => instance(uid)),
    present: nobody,
  })
  expect(removed).toHaveLength(50)
  expect(suspicionOf(removed, 0, 0.2)).toBeUndefined()
  const reports = findOrphans({ retained, rows: [], things: many.map(volume), present: nobody })
  expect(suspicionOf(reports, 0, 0.2)).toBeUndefined()
})
