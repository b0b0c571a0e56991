/** Ends or freezes the operator of a test at a place that the test names. */
import { failpoints, onFailpoint } from '../failpoint.ts'

/**
 * `name` or `name:N`: die, as `kill -9` does, at the Nth time that place is reached; `name:N:freeze`: stand still there
 * until the process is thawed. Throws when there is no such place.
 */
export function armFailpoint(text: string): void {
  const [name, times, what] = text.split(':')
  if (!failpoints.some((known) => known === name))
    throw new RangeError(`no failpoint "${text}": there are ${failpoints.join(', ')}`)
  let left = Number(times ?? 1)
  onFailpoint((reached) => {
    if (reached === name && --left === 0) process.kill(process.pid, what === 'freeze' ? 'SIGSTOP' : 'SIGKILL')
  })
}
