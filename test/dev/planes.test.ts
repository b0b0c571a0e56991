/** The control planes of a run of tests: two files that run at once have two, and one that is given back is lent again. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { expect, onTestFinished, test } from 'vitest'
import { borrowPlane, PlaneLender } from '../support/planes.ts'

/** A lender of planes `1`, `2`, … that are nothing but their folder. */
async function lenderOf(most: number, start: (made: number) => Promise<unknown> = () => Promise.resolve()) {
  const planes = { started: 0, running: 0 }
  const lender = new PlaneLender(most, async () => {
    const dir = String(++planes.started)
    await start(planes.started)
    planes.running++
    return { kubeconfig: 'k', kubectlPath: 'kubectl', dir, stop: async () => void planes.running-- }
  })
  const port = await lender.open()
  onTestFinished(() => lender.stop())
  /** As another process borrows one. */
  const borrow = () => {
    const socket = connect(port, '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    const given = once(createInterface({ input: socket }), 'line').then(
      ([line]) => JSON.parse(line as string) as unknown,
    )
    return { given, end: () => void socket.destroy() }
  }
  return { planes, lender, port, borrow }
}
const plane = (dir: string) => ({ plane: { kubeconfig: 'k', kubectl: 'kubectl', dir } })

test('planes that are lent at once differ, none more is started than is asked for, and who is too many waits', async () => {
  const { planes, lender, borrow } = await lenderOf(2)
  expect(planes.started).toBe(1)
  const [first, second] = [borrow(), borrow()]
  const [one, other] = await Promise.all([first.given, second.given])
  expect([one, other]).toEqual(expect.arrayContaining([plane('1'), plane('2')]))
  const third = borrow()
  second.end()
  expect(await third.given).toEqual(other)
  first.end()
  expect(await borrow().given).toEqual(one)
  expect(planes).toEqual({ started: 2, running: 2 })
  await lender.stop()
  expect(planes.running).toBe(0)
})

test('a plane that does not start is told to who asked for it, and is tried again', async () => {
  const { borrow, port } = await lenderOf(2, async (made) => {
    if (made === 2) throw new Error('no memory')
  })
  await borrow().given
  const refused = borrow()
  expect(await refused.given).toEqual({ error: 'Error: no memory' })
  refused.end()
  expect(await borrowPlane(port)).toEqual(plane('3').plane)
})
