/**
 * The operator for tests and benchmarks: as released, and with the fake backend and the failpoint that FAILPOINT names. It
 * is no part of the image.
 */
import { beginAgain } from '../process.ts'

beginAgain()
const { armFailpoint } = await import('./failpoint.ts')
const { runCommand } = await import('../cli.ts')
const { FakeBackend } = await import('../backends/fake/backend.ts')
const { registerAt } = await import('../backends/fake/agent.ts')

const { FAILPOINT: point } = process.env
if (point !== undefined) armFailpoint(point)
process.exit(
  await runCommand(process.argv.slice(2), {
    fake: (operatorInstance) => new FakeBackend({ onRunning: registerAt }, operatorInstance),
  }),
)
