import { pino } from 'pino'
import { expect, test } from 'vitest'
import type { OrgImport } from '../../api/org-import.ts'
import type { Workspace } from '../../api/workspace.ts'
import { announce, MovedTags } from './announce.ts'
import type { Done } from './apply.ts'
import type { Plan } from './plan.ts'

const org = { metadata: { name: 'team', namespace: 'n', uid: 'o', generation: 2 } } as unknown as OrgImport
const plan = { actions: [], departures: [] } as unknown as Plan
const workspace = (name: string, row: string, parent?: string) =>
  ({
    metadata: { name, uid: `uid-${name}` },
    spec: { displayName: name.toUpperCase(), ...(parent !== undefined && { parentRef: { name: parent } }) },
    status: { workspaceID: row, tier: 3 },
  }) as unknown as Workspace
const tree = new Map([
  ['lead', workspace('lead', 'row-lead')],
  ['hand', workspace('hand', 'row-hand', 'lead')],
])

function told(first: boolean, ...done: Done[]): unknown[] {
  const lines: string[] = []
  const log = pino({ messageKey: 'msg' }, { write: (line: string) => void lines.push(line) })
  const ctx = { log, event: () => undefined, reconcileId: 'r' }
  announce(org, { done, pruned: [], plan, live: (name) => tree.get(name), first }, ctx)
  return lines.flatMap((line) => {
    const [, json] = /^evt: provision\.skip_existing (.*)$/.exec((JSON.parse(line) as { msg: string }).msg) ?? []
    return json === undefined ? [] : [JSON.parse(json) as unknown]
  })
}

const lead: Done = { path: 'Lead', name: 'lead', deed: 'Unchanged', existed: true }
const hand: Done = { path: 'Lead/Hand', name: 'hand', deed: 'Updated', existed: true }

test('a re-import tells of each workspace that it found, with the ids of the rows', () => {
  const common = { tier: 3, import: 'n/team', reconcile_id: 'r' }
  expect(told(true, lead, hand)).toEqual([
    { workspace_id: 'row-lead', name: 'LEAD', existing_id: 'row-lead', parent_id: null, ...common },
    { workspace_id: 'row-hand', name: 'HAND', existing_id: 'row-hand', parent_id: 'row-lead', ...common },
  ])
})

test('later passes on the same generation tell only of what is adopted; what was created is never told', () => {
  expect(told(false, lead, hand)).toEqual([])
  expect(told(false, { ...lead, deed: 'Adopted' })).toHaveLength(1)
  expect(told(true, { ...lead, deed: 'Created', existed: false })).toEqual([])
})

test('a tag of another repository that points at another commit than before is told, and nothing else of them', () => {
  const [a, b] = ['a'.repeat(40), 'b'.repeat(40)]
  const moved = (before: readonly string[] | undefined, now: readonly string[] | undefined) => {
    const events: string[] = []
    const status = before && { source: { externals: before } }
    const event = (...parts: readonly string[]) => void events.push(parts.join(' '))
    new MovedTags().tell({ ...org, status } as unknown as OrgImport, now, { event })
    return events
  }
  const tag = (name: string, commit: string) => `https://git.example/org/teams ${name}@sha1:${commit}`
  expect(moved([tag('v1', a), tag('v2', a)], [tag('v1', b), tag('v2', a)])).toEqual([
    `Warning TagMoved https://git.example/org/teams v1 was sha1:${a} and is sha1:${b}`,
  ])
  expect(moved([tag('v1', a)], [tag('v1', a)])).toEqual([])
  expect(moved([tag('v1', a)], [tag('v2', b)])).toEqual([])
  expect(moved([tag('v1', a)], undefined)).toEqual([])
  expect(moved(undefined, [tag('v1', a)])).toEqual([])
  expect(moved([`https://git.example/org/teams sha1:${a}`], [`https://git.example/org/teams sha1:${b}`])).toEqual([])
})

test('a move is told once, however many passes end before the status says the new commit', () => {
  const [a, b] = ['a'.repeat(40), 'b'.repeat(40)]
  const events: string[] = []
  const moves = new MovedTags()
  const pass = (shown: string, now: string) => {
    const externals = (commit: string) => [`https://git.example/org/teams v1@sha1:${commit}`]
    const found = { ...org, status: { source: { externals: externals(shown) } } } as unknown as OrgImport
    moves.tell(found, externals(now), { event: (_, __, message) => void events.push(message.slice(-4)) })
  }
  pass(a, b)
  pass(a, b)
  expect(events).toEqual(['bbbb'])
  // Written, and moved back, and once more.
  pass(b, b)
  pass(b, a)
  pass(a, b)
  expect(events).toEqual(['bbbb', 'aaaa', 'bbbb'])
})
