import { pino, type DestinationStream, type Logger, type LoggerOptions } from 'pino'
import { reasonOf } from '../errors.ts'
import { oneLine, plain } from '../text.ts'

export type { Logger }

/** Names under which a secret could travel: their values never reach a log line. */
const secretPaths = [
  'token',
  'password',
  'authorization',
  'env',
  'secret',
  '*.token',
  '*.password',
  '*.authorization',
  '*.env',
  '*.secret',
]

/** Its own texts and no other field: the drivers of databases and engines keep there what they were sent. */
const shownError = (error: unknown) =>
  error instanceof Error
    ? { type: error.name, message: reasonOf(error), stack: plain(error.stack ?? '') }
    : oneLine(String(error))

/** What was told last of something that lasts: the same told again is no news. */
export class News {
  #last: string | undefined

  /** Whether this is news; if so it is what was told last. */
  is(text: string): boolean {
    if (text === this.#last) return false
    this.#last = text
    return true
  }

  /** It is over: when it comes again it is news. */
  end(): void {
    this.#last = undefined
  }
}

/** JSON lines, on stdout unless a destination is given. Messages are constant lower-case phrases; whatever varies is a field. */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options: LoggerOptions = {
    level,
    base: null,
    messageKey: 'msg',
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: shownError },
    redact: { paths: secretPaths, censor: '[redacted]' },
  }
  return destination === undefined ? pino(options) : pino(options, destination)
}
