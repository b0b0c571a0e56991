/** How a demo ends: what asks it to, and what is then undone. */
import { reasonOf } from '../../errors.ts'
import type { Screen } from './screen.ts'

/** What has to be undone, in reverse order. One step that fails keeps none of the others from being taken. */
export class Ending {
  readonly #steps: { readonly what: string; readonly undo: () => Promise<unknown> }[] = []
  readonly #screen: Screen

  constructor(screen: Screen) {
    this.#screen = screen
  }

  add(what: string, undo: () => Promise<unknown>): void {
    this.#steps.push({ what, undo })
  }

  /** Whether all went well; says what did not. */
  async run(): Promise<boolean> {
    let clean = true
    for (const { what, undo } of this.#steps.toReversed()) {
      await undo().catch((error: unknown) => {
        clean = false
        this.#screen.say(`  could not ${what}: ${reasonOf(error)}`)
      })
    }
    return clean
  }
}

/** npm passes Ctrl-C on to us, who had it from the terminal already: two within this time are one. */
const echo = 1_000

/** Where a demo hears that it is to end: the process, but for tests. */
interface Surroundings {
  on(event: 'SIGINT' | 'SIGTERM' | 'SIGHUP', listener: () => void): unknown
  on(event: 'uncaughtException', listener: (error: unknown) => void): unknown
  readonly stdout: Pick<NodeJS.WriteStream, 'on'>
  readonly stderr: Pick<NodeJS.WriteStream, 'on'>
  exit(code: number): void
}

/**
 * Gives a signal that aborts when the demo is to end: by Ctrl-C, a closed terminal (SIGHUP, or a write to it that fails),
 * a reader of its output that went away, or an error nobody waited for. All end it in order, since agents live on without
 * it; only a second Ctrl-C ends it at once, and what then stays is removed by the next demo.
 */
export function whenToEnd(around: Surroundings, now: () => number = () => performance.now()): AbortSignal {
  const ending = new AbortController()
  let asked = 0
  const end = (why: unknown) => {
    if (ending.signal.aborted) return
    asked = now()
    ending.abort(why)
  }
  const interrupted = () => {
    if (ending.signal.aborted && now() - asked > echo) around.exit(130)
    else end(new Interrupted())
  }
  around.on('SIGINT', interrupted)
  around.on('SIGTERM', interrupted)
  // A terminal that closes may send this twice, and nobody is there to ask for a hurry.
  around.on('SIGHUP', () => end(new Interrupted()))
  around.on('uncaughtException', end)
  // What is written then is lost: it must not be an error, since those end the process before anything is undone.
  for (const output of [around.stdout, around.stderr]) output.on('error', () => end(new Interrupted()))
  return ending.signal
}

/** Somebody asked for the end. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
  constructor() {
    super('interrupted')
  }
}
