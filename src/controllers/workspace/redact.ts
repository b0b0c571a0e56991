/** Shorter values are words that stand everywhere; blotting them out would say more than it hides. */
const shortest = 6

/** Anything of the shape of an agent's token: its text is not kept, so it cannot be looked for. */
const tokenShape = /(?<![\w-])[\w-]{43}(?![\w-])/g

/**
 * The last output of an instance, fit for a status: known secret values blotted out, control characters dropped, at
 * most `longest` UTF-16 units from the end. `secrets` are the values that came from Secrets.
 */
export function logTail(log: string, secrets: Iterable<string>, longest = 8192): string {
  let text = log
  for (const secret of secrets) if (secret.length >= shortest) text = text.replaceAll(secret, '[redacted]')
  const clean = text
    .replaceAll(tokenShape, '[redacted]')
    .replaceAll(/\u001B\[[0-9;]*[A-Za-z]/g, '')
    .replaceAll(/\r\n?/g, '\n')
    .replaceAll(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]/g, '')
    .replaceAll(/^\n+|\n+$/g, '')
  return clean.length <= longest ? clean : `…${clean.slice(clean.length - longest + 1)}`
}

/** The same as one short line. */
export function lastWords(log: string, secrets: Iterable<string>, longest = 600): string {
  const line = logTail(log, secrets).replaceAll(/\n+/g, ' | ')
  return line.length <= longest ? line : `…${line.slice(line.length - longest + 1)}`
}
