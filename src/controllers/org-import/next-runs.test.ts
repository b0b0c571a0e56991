import { expect, it } from 'vitest'
import { nodesOf } from '../../../test/support/org-plan.ts'
import { nextRuns, shownRun } from './next-runs.ts'

it('tells when schedules run next, in the zone of each, and the soonest first', () => {
  const schedule = (name: string, cron_expr: string, more: object = {}) => ({ name, cron_expr, prompt: 'Go.', ...more })
  const nodes = nodesOf({
    name: 'Lead',
    schedules: [schedule('noon', '0 12 * * *'), schedule('off', '0 1 * * *', { enabled: false })],
    children: [{ name: 'Writer', schedules: [schedule('morning', '30 7 * * *', { timezone: 'Europe/Berlin' })] }],
  })
  expect(nextRuns(nodes, new Date('2026-03-01T22:00:00Z')).map(shownRun)).toEqual([
    'Lead/Writer: morning at 2026-03-02T06:30Z',
    'Lead: noon at 2026-03-02T12:00Z',
  ])
})
