import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { described } from '../../../test/support/org-plan.ts'
import type { Workspace } from '../../api/workspace.ts'
import type { PassResult } from '../fleet.ts'
import { effects, standing, standings, type Effect, type Found, type StandingState } from './standing.ts'

const live = (metadata: object = {}, spec: object = {}) =>
  ({ metadata: { name: 'a', uid: 'u', generation: 2, ...metadata }, spec: { suspend: false, ...spec } }) as Workspace
const result = (part: Partial<PassResult> = {}): PassResult => ({
  uid: 'u',
  generation: 2,
  runtime: 'r',
  rowRead: true,
  busyTooLong: false,
  phase: 'online',
  ready: false,
  power: 'Running',
  image: undefined,
  startedAt: undefined,
  unready: { reason: 'Why', message: 'why', blocked: false },
  parts: undefined,
  ...part,
})

/** How each is found, and what it means for the import: Provisioned, Ready, and what else is true of it. */
const cells: Record<
  Found,
  { readonly at: readonly [Workspace | undefined, PassResult | undefined]; readonly means: readonly string[] }
> = {
  ready: { at: [live(), result({ ready: true, unready: undefined })], means: ['True', 'True', 'settled'] },
  hibernating: { at: [live(), result({ phase: 'hibernating' })], means: ['True', 'True', 'settled'] },
  online: { at: [live(), result()], means: ['True', 'False NodeNotReady', 'again'] },
  degraded: { at: [live(), result({ phase: 'degraded' })], means: ['True', 'False NodeNotReady', 'again'] },
  offline: { at: [live(), result({ phase: 'offline' })], means: ['True', 'False NodeNotReady', 'again'] },
  paused: { at: [live(), result({ phase: 'paused' })], means: ['True', 'False NodeNotReady', 'again'] },
  hibernated: { at: [live(), result({ phase: 'hibernated' })], means: ['True', 'False NodeNotReady', 'again'] },
  absent: { at: [undefined, undefined], means: ['False Provisioning', 'False Provisioning', 'again'] },
  unseen: { at: [live(), result({ generation: 1 })], means: ['False Provisioning', 'False Provisioning', 'again'] },
  unrecorded: {
    at: [live(), result({ phase: undefined })],
    means: ['False Provisioning', 'False Provisioning', 'again'],
  },
  provisioning: {
    at: [live(), result({ phase: 'provisioning' })],
    means: ['False Provisioning', 'False Provisioning', 'again'],
  },
  awaiting_agent: {
    at: [live(), result({ phase: 'awaiting_agent' })],
    means: ['False Provisioning', 'False Provisioning', 'again'],
  },
  deleting: {
    at: [live({ deletionTimestamp: 'now' }), result({ ready: true })],
    means: ['False Provisioning', 'False Provisioning', 'again'],
  },
  removed: { at: [live(), result({ phase: 'removed' })], means: ['False Provisioning', 'False Provisioning', 'again'] },
  failed: { at: [live(), result({ phase: 'failed' })], means: ['False NodeFailed', 'False NodeFailed', 'again'] },
  suspended: {
    at: [live({}, { suspend: true }), result({ ready: true })],
    means: ['Unknown NodeSuspended', 'False NodeSuspended', 'blocked'],
  },
  stalled: {
    at: [live(), result({ phase: 'provisioning', unready: { reason: 'ModelUnknown', message: 'why', blocked: true } })],
    means: ['False NodeFailed', 'False NodeFailed', 'blocked'],
  },
}

test.each(Object.entries(cells))('%s: what an import with such a node is', (found, { at, means }) => {
  const [there, last] = at
  expect(standing(there, last)).toMatchObject({ found })
  const node = { path: 'Lead', name: 'lead', deed: 'Unchanged', existed: true } as const
  const { status, outcome } = described([node], () => ({ live: there, result: last }))
  const judged = (wanted: string) =>
    status.conditions.flatMap(({ type, status: holds, reason }) =>
      type === wanted ? [holds === 'True' ? holds : `${holds} ${reason}`] : [],
    )
  expect([...judged('Provisioned'), ...judged('Ready'), outcome.kind]).toEqual(means)
})

test('a status that somebody has written is no evidence', () => {
  const forged = {
    ...live(),
    status: { phase: 'online', conditions: [{ type: 'Ready', status: 'True' }] },
  } as unknown as Workspace
  expect(standing(forged, undefined)).toMatchObject({ found: 'unseen', state: 'coming' satisfies StandingState })
  expect(standing(forged, result({ phase: 'failed' }))).toMatchObject({ found: 'failed', phase: 'failed' })
})

test('a Workspace that a person has to mend is stalled in every phase', () => {
  const unready = { reason: 'SecretMissing', message: 'there is no Secret "s"', blocked: true }
  for (const phase of Object.keys(standings)) {
    const found = standing(live(), result({ phase: phase as PassResult['phase'], unready }))
    expect(found).toMatchObject({ state: 'stalled', reason: 'SecretMissing', message: 'there is no Secret "s"' })
  }
})

const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`

function standingsTable(): string {
  const order = Object.keys(effects)
  const rows = Object.entries(standings)
    .toSorted(([, a], [, b]) => order.indexOf(a.state) - order.indexOf(b.state))
    .map(([found, { state, is }]) => {
      const { provisioned, ready, progress }: Effect = effects[state]
      const shown = provisioned === undefined ? 'True' : `${provisioned.status}, ${provisioned.reason}`
      return line([`\`${found}\``, is, shown, ready === undefined ? 'True' : `False, ${ready}`, progress ?? ''])
    })
  const head = ['The Workspace', 'in words', 'Provisioned', 'Ready', 'and']
  return [line(head), line(head.map(() => '---')), ...rows].join('\n')
}

test('the page has the table that decides', async () => {
  const page = await readFile(new URL('../../../docs/spec/org-import.md', import.meta.url), 'utf8')
  const plain = (text: string) => text.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---')
  expect(plain(page)).toContain(plain(standingsTable()))
})
