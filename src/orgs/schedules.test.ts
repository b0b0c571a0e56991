import { expect, it } from 'vitest'
import { renderOrg } from './tree.ts'

const namesOf = (...names: readonly string[]) => {
  const schedules = names.map((name) => ({ name, cron_expr: '0 4 * * *', prompt: 'Go.' }))
  const { nodes } = renderOrg(
    { kind: 'inline', template: { workspaces: [{ name: 'A', schedules }] } },
    { importUid: 'u' },
  )
  return nodes[0]?.spec.schedules?.map(({ name }) => name)
}

it('two schedules of one name get a name each that a Workspace takes, however long it is and wherever it is cut', () => {
  expect(namesOf('Sweep', 'sweep', 'sweep-2')).toEqual(['sweep', 'sweep-2', 'sweep-2-2'])
  const long = `${'x'.repeat(123)}-${'y'.repeat(10)}`
  expect(namesOf(long, long)).toEqual([`${'x'.repeat(123)}-yyyy`, `${'x'.repeat(123)}-2`])
})
