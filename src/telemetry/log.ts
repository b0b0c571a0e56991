import { pino, type Logger } from 'pino'

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

/** JSON lines on stdout. Messages are constant lower-case phrases; whatever varies is a field. */
export function createLogger(level: string): Logger {
  return pino({
    level,
    base: null,
    messageKey: 'msg',
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: secretPaths, censor: '[redacted]' },
  })
}
