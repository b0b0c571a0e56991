/** An agent that fills the disk of its host is pointed out. */
import { expect, test } from 'vitest'
import { openScene } from '../incidents/scene.ts'

const tier = { disk: '1Gi' }
const scene = await openScene({ env: { TIERS: JSON.stringify({ 1: tier, 2: tier, 3: tier, 4: tier }) } })
const { backend, make, get } = scene

test('one that takes more disk than its tier allows says so, and goes on', async () => {
  await make('tidy')
  await make('hoarder')
  const [tidy, hoarder] = [
    await scene.settles('tidy', 'Ready', 'True Settled'),
    await scene.settles('hoarder', 'Ready', 'True Settled'),
  ]
  // The first look comes some seconds after the start of an operator.
  await scene.restarted(async () => {
    backend.diskBytes.set(hoarder.metadata.uid, 2 ** 30 + 1)
    backend.diskBytes.set(tidy.metadata.uid, 2 ** 30)
  })
  const told = await scene.settles('hoarder', 'DiskExceeded', 'True DiskLimitExceeded')
  expect(told.status?.conditions?.find(({ type }) => type === 'DiskExceeded')?.message).toContain('1Gi of disk')
  await scene.settles('hoarder', 'Ready', 'True Settled')
  expect((await scene.looked('tidy')).status?.conditions?.map(({ type }) => type)).not.toContain('DiskExceeded')
  // An operator that was started anew has looked at no disk yet, and takes nothing back for that.
  const conditions = (await get('hoarder')).status?.conditions
  await scene.restarted()
  expect((await scene.looked('hoarder')).status?.conditions).toEqual(conditions)
})
