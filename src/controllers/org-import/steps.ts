/** Names of the things a plan does. Pure. */
import { createHash } from 'node:crypto'

export const digestOf = (parts: unknown): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)

/** Length of a step. */
const stepLength = 16

interface Version {
  readonly name: string
  readonly uid?: string
  readonly generation?: number
}

/** What is done, to which version of which object, and with what: another one when any of that is. */
export const stepOf = (verb: string, { name, uid, generation }: Version, content = ''): string =>
  digestOf([verb, name, uid, generation, content]).slice(0, stepLength)

/** `spent`: the approval that was used last. What it stood for has another name from then on. */
export const digestOfSteps = (steps: readonly string[], spent?: string): string =>
  digestOf(spent === undefined ? steps.join('') : [spent, steps.join('')])

/** The steps of a joined text. */
export const splitSteps = (text: string): string[] =>
  Array.from({ length: Math.ceil(text.length / stepLength) }, (_, i) =>
    text.slice(i * stepLength, (i + 1) * stepLength),
  )
